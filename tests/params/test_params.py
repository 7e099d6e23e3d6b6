"""params.yaml: what it may hold, and how each fault is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from fashionseg.errors import UserError
from fashionseg.params import flatten, load_params

# Ten anchors of ten uses each: 300 bytes that are ten thousand million values.
LAUGHS = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new))


def test_the_committed_file_is_valid(repo: Path) -> None:
    params = load_params(repo / "params.yaml")
    assert params.download.source == "sample"
    assert params.model.pixel_mean is None


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
        ("  folds: null ", "  folds: 1 ", "split.folds: input should be greater than or equal to 2, got 1"),
        ("seed: 2019\n", "seed: '2019'\n", "seed: input should be a valid integer, got '2019'"),
        ("seed: 2019\n", "seed: -1\n", "seed: input should be greater than or equal to 0, got -1"),
        (
            "    backbone: true ",
            "    backbone: 1 ",
            "model.batch_norm.backbone: input should be a valid boolean, got 1",
        ),
        ("  image_size: 160", "  image_size: 150", "image_size: input should be a multiple of 32, got 150"),
        ("source: sample ", "source: web ", "should be 'sample', 'folder', 'coco' or 'kaggle', got 'web'"),
        ("source: sample ", "source: folder ", "download.folder: expected a folder"),
        ("scale_range: [0.9, 1.1]", "scale_range: [1.1, 0.9]", "scale_range: expected [low, high], got [1.1, 0.9]"),
        ("jpeg_quality: null", "jpeg_quality: [95, 40]", "augment.jpeg_quality: expected [low, high], got [95, 40]"),
        ("gradient_clip_norm: 5.0", "gradient_clip_norm: .nan", "train.gradient_clip_norm"),
        ("gradient_clip_norm: 5.0", "gradient_clip_norm: .inf", "gradient_clip_norm: input should be a finite number"),
        ("seed: 2019\n", "seed: .nan\n", "seed: input should be a valid integer, got nan"),
        ("seed: 2019\n", "seed: 4294967296\n", "seed: input should be less than 4294967296"),
        ("seed: 2019\n", f"seed: {10**30}\n", "expected numbers of 64 bits"),
        ("    epochs: 1\n", "    epochs: 0\n", "train.heads.epochs: input should be greater than or equal to 1"),
        ("    epochs: 1\n", "    epochs: -1\n", "train.heads.epochs"),
        ("    epochs: 1\n    learning_rate: 1.0e-3", "    epochs: 1\n    learning_rate: -1.0e-3",
         "train.heads.learning_rate: input should be greater than 0, got -0.001"),
        ("    epochs: 1\n    learning_rate: 1.0e-3", "    epochs: 1\n    learning_rate: 0",
         "train.heads.learning_rate: input should be greater than 0"),
        ("validation_fraction: 0.2", "validation_fraction: 0", "validation_fraction: input should be greater than 0"),
        ("validation_fraction: 0.2", "validation_fraction: 1.0", "validation_fraction: input should be less than 1"),
        ("max_megapixels: 120 ", "max_megapixels: 1.0e9 ", "max_megapixels: input should be less than or equal"),
        ("  message: fashionseg", "  message: !!binary aGVsbG8=", "and mappings, got bytes"),
        ("  message: fashionseg", '  message: "\\ud800"', "half a character"),
        ("  message: fashionseg", '  message: fashionseg\n  "a\\nb": 1', "submit.a b: unknown key"),
        ("seed: 2019\n", "seed: [\n", "not readable as YAML"),
    ],
)  # fmt: skip
@pytest.mark.fault(
    table="params",
    case="NaN, infinite, negative rate, no epochs, 0 % or 100 % validation, unknown key",
    outcome="refused, with the key",
)
def test_each_fault_is_one_line_that_names_the_key(project: Path, old: str, new: str, message: str) -> None:
    change(project / "params.yaml", old, new)
    with pytest.raises(UserError) as fault:
        load_params()
    assert message in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_fold_beyond_the_last_is_refused(project: Path) -> None:
    change(project / "params.yaml", "  fold: 0 ", "  fold: 3 ")
    assert load_params().split.fold == 3  # without folds it has no effect
    change(project / "params.yaml", "  folds: null ", "  folds: 3 ")
    with pytest.raises(UserError, match=r"split\.fold: expected 0 to 2 because split\.folds is 3, got 3"):
        load_params()


def test_a_cascade_needs_an_iou_and_a_factor_for_each_head(project: Path) -> None:
    change(project / "params.yaml", "cascade_ious: [0.6, 0.7]", "cascade_ious: [0.6]")
    expected = (
        r"sampling\.cascade_ious: expected 2 values, one for each row of model\.cascade\.box_stds, got 1"
    )
    with pytest.raises(UserError, match=expected):
        load_params()


def test_all_faults_are_reported_at_once(project: Path) -> None:
    change(project / "params.yaml", "seed: 2019\n", "")
    change(project / "params.yaml", "  folds: 5 ", "  folds: 1 ")
    with pytest.raises(UserError, match=r"seed: missing; .*evaluate.folds") as fault:
        load_params()
    assert str(fault.value).count(";") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]\n", "expected at most 100000 values"),
        (LAUGHS, "expected at most 100000 values"),
        ("a: " + "[" * 3000 + "]" * 3000, "not readable as YAML"),
        ("a: " + "x" * 2**20, "expected at most 1048576 bytes"),
        ("seed: 2001-13-45\n", "a value is not what it claims to be"),
        ("seed: !!int x\n", "a value is not what it claims to be"),
        ("seed: !!bool maybe\n", "a value is not what it claims to be"),
        ("seed: " + "1" * 5000, "a value is not what it claims to be"),
        ("? [1, 2]\n: 3\n", "expected keys of text, got (1, 2)"),
        ("2001-01-01: 3\n", "expected keys of text"),
        ("a: !!python/object:os.system x\n", "not readable as YAML"),
        ("a: \0\n", "not readable as YAML"),
        ("a: 1\na: 2\n", "not readable as YAML"),
        ("- a\n", "expected a mapping of sections, got list"),
        ("", "expected a mapping of sections, got NoneType"),
    ],
)
@pytest.mark.fault(table="params", case="hostile YAML: endless anchors, odd types, 1 MB", outcome="refused")
def test_hostile_yaml_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    """Most of these were found by fuzzing and ended in a traceback, or without end."""
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError) as fault:
        load_params(tmp_path / "params.yaml")
    assert message in str(fault.value)
    assert str(fault.value).isprintable()


def test_folders_and_other_encodings_are_reported(tmp_path: Path, repo: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_params(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(UserError, match="not readable as YAML"):
        load_params(path)
    committed = (repo / "params.yaml").read_text()
    for text in ("\ufeff" + committed, committed.replace("\n", "\r\n")):
        path.write_text(text, newline="")
        assert load_params(path) == load_params(repo / "params.yaml")


def test_many_faults_are_cut_to_twenty(tmp_path: Path, repo: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text((repo / "params.yaml").read_text() + "".join(f"k{n}: 1\n" for n in range(500)))
    with pytest.raises(UserError, match="and 480 more") as fault:
        load_params(path)
    assert len(str(fault.value)) < 1000


def test_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.yaml: no such file"):
        load_params(tmp_path / "nothing.yaml")


def test_flatten_joins_names_with_dots() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}
