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


@pytest.mark.fault(
    table="params",
    case="another batch size with the same learning rates",
    outcome="both batch sizes and the command that scales the rates linearly",
)
def test_another_batch_size_comes_with_the_command_that_scales_the_rates(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 24 photos 2 remain: 2e-4 * 2 / 24 and 2e-5 * 2 / 24."""
    assert main(["preset", "kaggle-dgx", "train.num_devices=1", "train.images_per_device=2"]) == 0
    expected = (
        "batch size: 24 -> 2 photos, with the learning rates of 24; to scale them linearly: `fashionseg preset "
        "train.heads.learning_rate=1.667e-05 train.finetune.learning_rate=1.667e-06`"
    )
    assert capsys.readouterr().out.splitlines()[-1] == expected
    command = expected.partition("`fashionseg ")[2].rstrip("`").split()
    assert main(command) == 0
    assert "batch size" not in capsys.readouterr().out
    assert load_params().train.heads.learning_rate == 1.667e-05


def test_the_batch_size_is_no_topic_where_it_stays_or_the_rates_are_given(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preset", "kaggle-dgx"]) == 0  # the preset's rates are for the preset's batch
    assert main(["preset", "train.num_devices=2", "train.images_per_device=12"]) == 0
    rates = ["train.heads.learning_rate=1e-4", "train.finetune.learning_rate=1e-5"]
    assert main(["preset", "train.num_devices=1", *rates]) == 0
    assert "batch size" not in capsys.readouterr().out
    # One rate is given: the other one is left.
    assert main(["preset", "train.num_devices=2", rates[0].replace("4", "3")]) == 0
    assert capsys.readouterr().out.endswith("`fashionseg preset train.finetune.learning_rate=2e-05`\n")


def test_twice_is_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", "kaggle-dgx"]) == 0
    capsys.readouterr()
    assert main(["preset", "kaggle-dgx"]) == 0
    assert capsys.readouterr().out == "params.yaml: no change\n"


def test_without_a_name_the_presets_are_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset"]) == 0
    assert (
        capsys.readouterr().out
        == "Presets: coco, fashionpedia, folder, folder-gpu, folder-long, kaggle, kaggle-dgx, sample\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dgx"], "preset 'dgx': there is no such preset. Presets: coco, fashionpedia, folder,"),
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
