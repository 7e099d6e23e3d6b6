"""The command line as a whole."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from fashionseg.cli import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_called(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module(f"fashionseg.commands.{name.replace('-', '_')}")
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"fashionseg {name}" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)


def test_help_imports_no_heavy_module() -> None:
    code = (
        "import sys\n"
        "from fashionseg.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'pandas', 'cv2', 'matplotlib', 'dvc'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_users_mistake_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["summary"]) == 2
    assert capsys.readouterr().err.startswith("error: params.yaml: not found in ")


def test_summary_names_scores_and_places(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("reports/pictures", "models/finetuned"):
        (project / folder).mkdir(parents=True)
    (project / "reports/metrics.json").write_text(
        '{"competition_score": 0.3125, "competition_score_interval": [0.25, 0.375], '
        '"coco": {"box": {"ap": 0.5, "ap50": null}}}'
    )
    (project / "models/finetuned/summary.json").write_text('{"best_epoch": 17}')
    assert main(["summary"]) == 0
    rows = dict(line.rsplit("  ", 1) for line in map(str.rstrip, capsys.readouterr().out.splitlines()))
    rows = {key.strip(): value.strip() for key, value in rows.items()}
    assert rows == {
        "competition score (out-of-fold)": "0.312 (0.250 to 0.375)",  # 0.3125 rounds to even
        "COCO box AP": "0.500",
        "COCO box AP50": "-",
        "best epoch of the fine-tuning": "17",
        "pictures of truth and prediction": "reports/pictures",
        "the model": "models/finetuned",
        "all runs": "make ui",
    }
