"""`fashionseg preset`: what it changes, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fashionseg.cli import main
from fashionseg.params import load_params


def test_a_preset_with_changes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", "folder", "download.folder=../photos", "train.heads.learning_rate=1e-5"]) == 0
    params = load_params()
    assert (params.download.source, params.download.folder) == ("folder", str(project.parent / "photos"))
    assert params.train.heads.learning_rate == 0.00001
    said = capsys.readouterr().out
    assert "download.source: sample -> folder" in said
    assert "train.heads.learning_rate: 0.001 -> 1e-05" in said


def test_comments_and_the_rest_of_the_file_stay(project: Path) -> None:
    before = (project / "params.yaml").read_text().splitlines()
    assert main(["preset", "sample", "evaluate.folds=4"]) == 0
    after = (project / "params.yaml").read_text().splitlines()
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [
        (
            "  folds: 5                      # the reported score uses thresholds fitted on the other folds",
            "  folds: 4                      # the reported score uses thresholds fitted on the other folds",
        )
    ]


def test_changes_alone(project: Path) -> None:
    assert main(["preset", "evaluate.nms_thresholds=[0.5]", "tracking.uri=http://localhost:5000"]) == 0
    params = load_params()
    assert params.evaluate.nms_thresholds == (0.5,)
    assert params.tracking.uri == "http://localhost:5000"


def test_from_a_folder_below(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "src").mkdir()
    monkeypatch.chdir(project / "src")
    assert main(["preset", "sample", "seed=3"]) == 0
    assert load_params(project / "params.yaml").seed == 3


def test_a_folder_is_stored_absolute_as_seen_from_the_current_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative, it would be another folder for whoever runs the stages elsewhere."""
    (project / "src").mkdir()
    monkeypatch.chdir(project / "src")
    monkeypatch.setenv("HOME", "/home/anna")
    for given, stored in (
        ("../photos", f"{project}/photos"),
        ("~/photos", "/home/anna/photos"),
        ("/a", "/a"),
    ):
        assert main(["preset", "folder", f"download.folder={given}"]) == 0
        assert load_params(project / "params.yaml").download.folder == stored


def test_twice_is_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", "kaggle-dgx"]) == 0
    capsys.readouterr()
    assert main(["preset", "kaggle-dgx"]) == 0
    assert capsys.readouterr().out == "params.yaml: no change\n"


def test_without_a_name_the_presets_are_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset"]) == 0
    assert capsys.readouterr().out == "Presets: folder, folder-gpu, folder-long, kaggle, kaggle-dgx, sample\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dgx"], "preset 'dgx': there is no such preset. Presets: folder, folder-gpu, folder-long, kaggle, kaggle-dgx, sample"),
        (["folder"], "params.yaml: download.folder: expected a folder because download.source is 'folder', got null"),
        (["sample", "train.heads.epoch=3"], "no such key in params.yaml; did you mean train.heads.epochs?"),
        (["sample", "folds=3"], "folds: no such key in params.yaml; did you mean split.folds or evaluate.folds?"),
        (["sample", "train.heads=3"], "train.heads: expected a single value, but this is a section"),
        (["sample", "seed"], "'seed': expected key=value"),
        (["sample", "seed=[1"], "'seed=[1': the value is not readable as YAML"),
        (["sample", "seed=many"], "params.yaml: seed: input should be a valid integer, got 'many'"),
        (["sample", "train.heads.epochs="], "train.heads.epochs: input should be a valid integer, got None"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_and_changes_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    before = (project / "params.yaml").read_bytes()
    assert main(["preset", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert (project / "params.yaml").read_bytes() == before
    assert not list(project.glob(".params.yaml*"))
