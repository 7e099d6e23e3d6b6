"""Two branches that both ran the pipeline are merged: real Git and DVC, a stage of one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dvc_project import commit_with_dvc
from fashionseg.cli import main

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

STAGE = """
import json
from pathlib import Path
import yaml
params = yaml.safe_load(Path("params.yaml").read_text())
Path("model").write_text(str(params))
Path("reports").mkdir(exist_ok=True)
Path("reports/metrics.json").write_text(json.dumps(params))
"""


def shell(*lines: str) -> None:
    for line in lines:
        subprocess.run(line.split(), check=True, capture_output=True)


def write_params(a: int, b: int) -> None:
    # Far enough apart for Git to merge both changes.
    Path("params.yaml").write_text(f"a: {a}\n#\n#\n#\n#\n#\nb: {b}\n")


def run_and_commit(message: str) -> None:
    shell(f"{sys.executable} -m dvc repro", "git add -A", f"git commit -qm {message}")


@pytest.fixture
def merging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the middle of a merge: one branch changed `a`, the other `b`; dvc.lock and the metrics conflict."""
    monkeypatch.chdir(tmp_path)
    stage = {
        "cmd": f"{sys.executable} stage.py",
        "deps": ["stage.py"],
        "params": ["a", "b"],
        "outs": ["model"],
        "metrics": [{"reports/metrics.json": {"cache": False}}],
    }
    Path("stage.py").write_text(STAGE)
    Path("dvc.yaml").write_text(json.dumps({"stages": {"train": stage}}))
    Path(".gitignore").write_text("/model\n")
    write_params(1, 1)
    commit_with_dvc(tmp_path)
    run_and_commit("one")
    shell("git checkout -qb other")
    write_params(1, 2)
    run_and_commit("two")
    shell("git checkout -q -")
    write_params(3, 1)
    run_and_commit("three")
    merged = subprocess.run(["git", "merge", "other"], capture_output=True, text=True)
    assert merged.returncode == 1 and "dvc.lock" in merged.stdout and "metrics.json" in merged.stdout
    return tmp_path


@pytest.mark.fault(
    table="processes",
    case="two branches that both ran the pipeline are merged, and dvc.lock conflicts",
    outcome="`make resolve`: lock, reports and models of the merged params, ready to commit",
)
def test_a_merge_ends_with_the_outputs_of_the_merged_params(
    merging: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["resolve"]) == 0
    assert "`git commit` ends the merge" in capfd.readouterr().out
    shell("git commit -qm merged")
    assert json.loads(Path("reports/metrics.json").read_text()) == {"a": 3, "b": 2}
    assert Path("model").read_text() == "{'a': 3, 'b': 2}"
    status = subprocess.run([sys.executable, "-m", "dvc", "status"], capture_output=True, text=True)
    assert "up to date" in status.stdout
    assert subprocess.run(["git", "status", "--short"], capture_output=True).stdout == b""


def test_other_conflicts_come_first(merging: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell("git merge --abort")
    write_params(1, 7)
    shell("git add -A", "git commit -qm four")
    assert subprocess.run(["git", "merge", "other"], capture_output=True).returncode == 1
    before = Path("dvc.lock").read_bytes()
    assert main(["resolve"]) == 2
    assert "params.yaml: resolve by hand and `git add` first" in capsys.readouterr().err
    assert Path("dvc.lock").read_bytes() == before


def test_a_failing_stage_is_resumed_by_the_same_command(
    merging: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("stage.py").write_text("raise SystemExit(1)")
    assert main(["resolve"]) == 2
    assert "`dvc repro` failed, see above; the same command resumes" in capfd.readouterr().err
    Path("stage.py").write_text(STAGE)
    assert main(["resolve"]) == 0
    assert json.loads(Path("reports/metrics.json").read_text()) == {"a": 3, "b": 2}
