"""A folder in Kaggle's layout as the source."""

import json
from pathlib import Path

import pytest

import fashionseg
from fashionseg.errors import UserError
from fashionseg.params import Download, Sample
from fashionseg.sources.folder import check_layout, copy_folder
from fashionseg.stages.source import describe_source
from fashionseg.taxonomy import Taxonomy, load_taxonomy

LABELS = Path(fashionseg.__file__).with_name("label_descriptions.json")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    for name, content in (
        ("train/a.jpg", b"photo a"),
        ("train/.DS_Store", b"junk"),
        ("train/deeper/b.jpg", b"not Kaggle's layout"),
        ("test/c.jpg", b"photo c"),
        ("train.csv", b"ImageId,EncodedPixels,Height,Width,ClassId\n"),
        ("label_descriptions.json", LABELS.read_bytes()),
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


@pytest.mark.fault(
    table="labels-and-archives",
    case="own categories in `label_descriptions.json`",
    outcome="taken: they become the categories of the model",
)
def test_own_categories_are_taken(tmp_path: Path, source: Path) -> None:
    labels = {"categories": [{"id": 0, "name": "cat", "supercategory": "pets"}, {"id": 1, "name": "dog"}]}
    (source / "label_descriptions.json").write_text(json.dumps(labels))
    target = tmp_path / "raw"
    target.mkdir()
    copy_folder(source, target)
    assert load_taxonomy(target / "label_descriptions.json") == Taxonomy(("cat", "dog"), ("pets", ""), ())
    download = Download(
        source="folder",
        folder=str(source),
        competition="c",
        sample=Sample(train_photos=10, test_photos=1, seed=0),
    )
    assert "digest" in describe_source(download, tmp_path / "source.json")


def test_labels_without_meaning_are_refused_before_photos_are_copied(tmp_path: Path, source: Path) -> None:
    (source / "label_descriptions.json").write_text('{"categories": []}')
    target = tmp_path / "raw"
    target.mkdir()
    with pytest.raises(UserError, match=r"label_descriptions.json: not a label description"):
        copy_folder(source, target)
    assert list(target.iterdir()) == []
