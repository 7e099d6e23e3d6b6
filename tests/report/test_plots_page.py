"""The page of `dvc plots show` needs no network."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path


def test_dvc_draws_its_plots_without_a_network(repo: Path, tmp_path: Path) -> None:
    for name in ("dvc.yaml", "params.yaml", ".dvc/config", ".dvc/plots_page.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(repo / name, tmp_path / name)
    shutil.copytree(repo / "reports/plots", tmp_path / "reports/plots")
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "config", "core.no_scm", "true"], cwd=tmp_path, check=True)
    subprocess.run([*dvc, "plots", "show"], cwd=tmp_path, check=True, capture_output=True)

    page = (tmp_path / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)\s*=\s*"(?:https?:)?//|@import|url\(', page) == []
    assert page.count("function vegaEmbed(") == 1
    drawn = re.findall(r"vegaEmbed\('#(\w+)', spec\)", page)
    assert drawn == [
        "losses",
        "competition_score_over_the_score_threshold",
        "mask_precision_over_recall_at_IoU_0_50",
    ]
    images = re.findall(r'<img src="([^"]+)"', page)
    assert len(images) == 3
    assert all((tmp_path / "dvc_plots" / image).is_file() for image in images)
