"""`fashionseg ensemble` on the sample, with detections made from the truth: their faults are independent."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fashionseg.cli import main
from fashionseg.data.tables import read_photos
from fashionseg.detections.store import no_detections, read_detections, write_detections
from fashionseg.submission.check import check_submission, list_test_photos
from truth_detections import detect_truth


@pytest.fixture(scope="module")
def runs(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the predictions of the workspace and of two more runs, `a` and `b`."""
    root = tmp_path_factory.mktemp("runs")
    shutil.copytree(sample, root, dirs_exist_ok=True)
    validation = list(read_detections(root / "data/predictions/validation").photos)
    test = read_photos(root / "data/decoded", "test")["image_id"].tolist()
    for seed, place in enumerate(("data", "a/data", "b/data"), start=1):
        predictions = root / place / "predictions"
        write_detections(detect_truth(root / "data/decoded", validation, seed), predictions / "validation")
        write_detections(no_detections(test), predictions / "test")
    return root


@pytest.fixture
def project(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(runs)
    return runs


def score(folder: Path) -> float:
    return json.loads((folder / "reports/metrics.json").read_text())["competition_score"]


def test_independent_faults_cancel_and_everything_after_prediction_is_done_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ensemble", "workspace", "a"]) == 0
    said = capsys.readouterr().out
    assert [line.split(":")[0] for line in said.splitlines()[:3]] == ["workspace", "a", "ensemble"]
    scores = [float(line.split("score ")[1].split()[0]) for line in said.splitlines()[:3]]
    assert scores[2] > max(scores[:2]) + 0.02
    assert "valid -> ensemble/submission.csv" in said
    assert check_submission(Path("ensemble/submission.csv"), list_test_photos(Path("data/raw/test"))) == []
    assert score(Path("ensemble")) == pytest.approx(scores[2], abs=1e-3)
    assert json.loads(Path("ensemble/ensemble.json").read_text()) == {
        "runs": ["workspace", "a"],
        "weights": [1.0, 1.0],
    }
    assert main(["compare", "ensemble", "ensemble"]) == 0

    # An ensemble is a run like any other, and is replaced as a whole.
    Path("ensemble/left-over").touch()
    assert main(["ensemble", "ensemble", "b", "--weights", "2", "1", "--out", "more"]) == 0
    assert main(["ensemble", "workspace", "b"]) == 0
    assert not Path("ensemble/left-over").exists()
    assert score(Path("more")) > scores[2]


def test_fitted_weights_are_by_category_and_kept(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ensemble", "workspace", "a", "--fit-weights", "--out", "fitted"]) == 0
    said = capsys.readouterr().out
    weights = json.loads(Path("fitted/ensemble.json").read_text())["weights"]
    assert len(weights) == 46
    assert all(sum(row) == pytest.approx(1.0, abs=1e-3) for row in weights.values())
    unequal = [name for name, row in weights.items() if max(row) > min(row)]
    assert f"{len(unequal)} of 46 categories have weights of their own" in said
    assert score(Path("fitted")) > 0
    with pytest.raises(SystemExit):
        main(["ensemble", "workspace", "a", "--fit-weights", "--weights", "1", "2"])


def test_runs_are_read_from_git(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("a/data/predictions", "data/kept")
    shutil.rmtree("data/predictions")
    Path("data/kept").rename("data/predictions")
    for words in (
        "git init -q",
        "dvc init -q",
        "dvc add -q data/predictions",
        "git add .dvc data/predictions.dvc params.yaml",
        "git -c user.name=t -c user.email=t@t commit -qm first",
        "git tag first",
    ):
        subprocess.run(words.split(), check=True, capture_output=True)
    capsys.readouterr()
    assert main(["ensemble", "first", "b", "--out", "from-git"]) == 0
    of_tag = capsys.readouterr().out.splitlines()[0].partition(":")[2]
    assert main(["ensemble", "a", "b", "--out", "from-folders"]) == 0
    assert capsys.readouterr().out.splitlines()[0].partition(":")[2] == of_tag
    assert main(["ensemble", "nosuch", "b"]) == 2
    assert "nosuch: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a"], "expected at least two different runs, got a"),
        (["a", "a"], "expected at least two different runs, got a a"),
        (["a", "b", "--weights", "1"], "--weights: expected 2 of at least 0, not all 0, got 1.0"),
        (["a", "other"], "other: expected the 8 validation photos of a, got 7 photos, 7 of them the same"),
        (["a", "b", "--out", "data"], "--out: data exists and is no ensemble or average"),
    ],
)
@pytest.mark.fault(
    table="params",
    case="`fashionseg ensemble` of runs that do not belong together",
    outcome="refused, the run and the difference named; nothing is written",
)
def test_what_cannot_be_fused_is_one_line(
    project: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fewer = read_detections(project / "a/data/predictions/validation").photos[1:]
    write_detections(no_detections(fewer), project / "other/predictions/validation")
    write_detections(read_detections(project / "a/data/predictions/test"), project / "other/predictions/test")
    assert main(["ensemble", *words]) == 2
    assert expected in capsys.readouterr().err
