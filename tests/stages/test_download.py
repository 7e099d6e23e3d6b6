"""The stage: each source ends in the same layout, and a failure leaves the old data alone."""

from pathlib import Path

import pytest

from fashionseg.errors import UserError
from fashionseg.stages import download
from fashionseg.stages.download import main

PARTS = ["label_descriptions.json", "sample_submission.csv", "test", "train", "train.csv"]


@pytest.fixture
def params(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """params.yaml as committed, with the smallest sample."""
    monkeypatch.chdir(tmp_path)
    text = (repo / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("train_photos: 400", "train_photos: 10").replace("test_photos: 24", "test_photos: 1")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "params.yaml"


def change(params: Path, old: str, new: str) -> None:
    text = params.read_text(encoding="utf-8")
    assert old in text
    params.write_text(text.replace(old, new), encoding="utf-8")


def run() -> None:
    main(["--raw", "data/raw"])


def test_the_sample_is_drawn(params: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    assert sorted(path.name for path in Path("data/raw").iterdir()) == PARTS
    assert "download: 10 train photos, 1 test photos from sample\n" in capsys.readouterr().out


def test_the_sample_as_a_folder_is_the_same_data(params: Path) -> None:
    run()
    Path("data/raw").rename("mine")
    change(params, "source: sample", "source: folder")
    change(params, "folder: null", "folder: mine")
    run()
    for path in Path("mine").rglob("*"):
        if path.is_file():
            assert (Path("data/raw") / path.relative_to("mine")).read_bytes() == path.read_bytes()


def test_a_failed_download_leaves_the_earlier_data(params: Path) -> None:
    Path("data/raw/train").mkdir(parents=True)
    Path("data/raw/train/a.jpg").write_bytes(b"of an earlier run")
    Path("incomplete/train").mkdir(parents=True)
    change(params, "source: sample", "source: folder")
    change(params, "folder: null", "folder: incomplete")
    with pytest.raises(UserError, match="incomplete: missing test/"):
        run()
    assert Path("data/raw/train/a.jpg").read_bytes() == b"of an earlier run"
    assert [path.name for path in Path("data").iterdir()] == ["raw"]


@pytest.mark.parametrize("folder", ["data/raw", "data", "data/raw/train"])
def test_the_output_cannot_be_its_own_source(params: Path, folder: str) -> None:
    Path("data/raw/train").mkdir(parents=True)
    Path("data/raw/train/a.jpg").write_bytes(b"precious")
    change(params, "source: sample", "source: folder")
    change(params, "folder: null", f"folder: {folder}")
    with pytest.raises(UserError, match="expected a folder apart from the output"):
        run()
    assert Path("data/raw/train/a.jpg").read_bytes() == b"precious"


def test_kaggle_is_asked_for_the_competition_of_the_parameters(
    params: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(competition: str, folder: Path) -> None:
        asked.append(competition)
        (folder / "train").mkdir()
        (folder / "test").mkdir()

    monkeypatch.setattr(download, "fetch_competition", fetch)
    change(params, "source: sample", "source: kaggle")
    run()
    assert asked == ["imaterialist-fashion-2019-FGVC6"]
