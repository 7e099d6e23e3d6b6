"""A folder in Kaggle's layout as the source."""

import json
from pathlib import Path

import pytest

from fashionseg.errors import UserError
from fashionseg.sources.folder import check_layout, copy_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    for name, content in (
        ("train/a.jpg", b"photo a"),
        ("train/.DS_Store", b"junk"),
        ("train/deeper/b.jpg", b"not Kaggle's layout"),
        ("test/c.jpg", b"photo c"),
        ("train.csv", b"ImageId,EncodedPixels,Height,Width,ClassId\n"),
        ("label_descriptions.json", json.dumps({}).encode()),
        ("sample_submission.csv", b"ImageId,EncodedPixels,ClassId\n"),
        ("notes.txt", b"mine"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_kaggles_files_and_nothing_else_are_copied(tmp_path: Path, source: Path) -> None:
    target = tmp_path / "raw"
    target.mkdir()
    assert copy_folder(source, target) == 2
    copied = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert copied == {
        "train/a.jpg",
        "test/c.jpg",
        "train.csv",
        "label_descriptions.json",
        "sample_submission.csv",
    }
    assert (target / "train/a.jpg").read_bytes() == b"photo a"


def test_linked_photo_folders_are_followed(tmp_path: Path, source: Path) -> None:
    (source / "train").rename(tmp_path / "elsewhere")
    (source / "train").symlink_to(tmp_path / "elsewhere")
    target = tmp_path / "raw"
    target.mkdir()
    copy_folder(source, target)
    assert (target / "train/a.jpg").read_bytes() == b"photo a"
    assert not (target / "train").is_symlink()


def test_every_missing_part_is_named_in_one_error(source: Path) -> None:
    (source / "train.csv").unlink()
    (source / "test/c.jpg").unlink()
    (source / "test").rmdir()
    with pytest.raises(
        UserError, match=r"mine: missing test/, train.csv; expected Kaggle's layout: train/, test/"
    ):
        check_layout(source)


def test_an_empty_photo_folder_is_named(source: Path) -> None:
    (source / "test/c.jpg").unlink()
    with pytest.raises(UserError, match=r"mine/test: expected photos, the folder is empty"):
        check_layout(source)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        check_layout(tmp_path / "nowhere")
