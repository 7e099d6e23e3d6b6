"""params.yaml: what it may hold, and how each fault is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from fashionseg.errors import UserError
from fashionseg.params import flatten, load_params


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new))


def test_the_committed_file_is_valid(repo: Path) -> None:
    params = load_params(repo / "params.yaml")
    assert params.download.source == "sample"
    assert params.model.mean_pixel == (123.7, 116.8, 103.9)  # Matterport's


def test_a_rate_as_dvc_writes_it_is_a_number(project: Path) -> None:
    """`dvc exp run -S` writes 1e-05, which YAML 1.1 readers take for text."""
    change(
        project / "params.yaml",
        "    learning_rate: 1.0e-3\n  finetune:",
        "    learning_rate: 1e-05\n  finetune:",
    )
    assert load_params().train.heads.learning_rate == 0.00001


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 2019\n", "", "params.yaml: seed: missing"),
        ("seed: 2019\n", "seed: 2019\nsead: 1\n", "params.yaml: sead: unknown key"),
        ("  folds: 5 ", "  fold: 5 ", "evaluate.fold: unknown key"),
        ("seed: 2019\n", "seed: '2019'\n", "seed: input should be a valid integer, got '2019'"),
        ("seed: 2019\n", "seed: -1\n", "seed: input should be greater than or equal to 0, got -1"),
        ("  train_bn: true ", "  train_bn: 1 ", "model.train_bn: input should be a valid boolean, got 1"),
        ("  image_max_dim: 160", "  image_max_dim: 150", "image_max_dim: input should be a multiple of 32, got 150"),
        ("source: sample ", "source: web ", "source: input should be 'sample', 'folder' or 'kaggle', got 'web'"),
        ("source: sample ", "source: folder ", "download.folder: expected a folder"),
        ("scale_range: [0.9, 1.1]", "scale_range: [1.1, 0.9]", "scale_range: expected [low, high], got [1.1, 0.9]"),
        ("gradient_clip_norm: 5.0", "gradient_clip_norm: .nan", "train.gradient_clip_norm"),
        ("seed: 2019\n", "seed: [\n", "not readable as YAML"),
    ],
)  # fmt: skip
def test_each_fault_is_one_line_that_names_the_key(project: Path, old: str, new: str, message: str) -> None:
    change(project / "params.yaml", old, new)
    with pytest.raises(UserError) as fault:
        load_params()
    assert message in str(fault.value)
    assert "\n" not in str(fault.value)


def test_all_faults_are_told_at_once(project: Path) -> None:
    change(project / "params.yaml", "seed: 2019\n", "")
    change(project / "params.yaml", "  folds: 5 ", "  folds: 1 ")
    with pytest.raises(UserError, match=r"seed: missing; .*evaluate.folds") as fault:
        load_params()
    assert str(fault.value).count(";") == 1


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.yaml: no such file"):
        load_params(tmp_path / "nothing.yaml")


def test_flatten_joins_names_with_dots() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}
