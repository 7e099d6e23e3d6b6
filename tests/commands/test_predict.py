"""`fashionseg predict` on photo files, with a network that always finds the same two things."""

from __future__ import annotations

import json
import subprocess
import sys
import types
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashionseg.cli import main
from fashionseg.data.rle import parse_rle, runs_area, runs_box
from fashionseg.detections.store import Detections
from fashionseg.taxonomy import competition_taxonomy

ROOT = Path(__file__).resolve().parents[2]
THRESHOLDS = '{"score": 0.5, "nms": 0.5, "mask": 0.5, "min_area": 1}'


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, ...]]]:
    """Puts a network in place that finds a dress (0.9) in the middle of every photo and a shoe (0.2).

    Collects the shapes of the photos of each call.
    """
    calls: list[list[tuple[int, ...]]] = []

    def predict_photos(
        detector: object, photos: Iterable[tuple[str, np.ndarray]], batch_size: int
    ) -> Detections:
        named = list(photos)
        assert len(named) <= batch_size
        calls.append([photo.shape for _, photo in named])
        count = len(named)
        return Detections.build(
            [name for name, _ in named],
            np.repeat(np.arange(count), 2),
            np.tile([10, 23], count),
            np.tile([0.9, 0.2], count),
            np.tile([[0.25, 0.25, 0.75, 0.75], [0.9, 0.0, 1.0, 0.1]], (count, 1)),
            np.full((2 * count, 28, 28), 255, np.uint8),
        )

    detector = types.SimpleNamespace(category_names=competition_taxonomy().category_names)
    inference = types.SimpleNamespace(
        load_detector=lambda weights, inference, num_devices, is_compiled: detector,
        predict_photos=predict_photos,
    )
    monkeypatch.setitem(sys.modules, "fashionseg.detections.inference", inference)
    return calls


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with trained weights and thresholds; the working folder."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (tmp_path / "models" / "finetuned").mkdir(parents=True)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "thresholds.json").write_text(THRESHOLDS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_photo(path: Path, height: int = 40, width: int = 20, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (90, 120, 150)).save(path, **options)
    return path


def predictions(folder: Path) -> dict:
    return json.loads((folder / "predictions.json").read_text(encoding="utf-8"))


def test_a_photo_gives_a_picture_and_its_objects(project: Path, batches: list):
    save_photo(project / "dress.jpg")
    assert main(["predict", "dress.jpg"]) == 0
    (photo,) = predictions(project / "predictions")["photos"]
    assert (photo["file"], photo["height"], photo["width"]) == ("dress.jpg", 40, 20)
    (dress,) = photo["instances"]
    assert (dress["category_id"], dress["category"], dress["score"]) == (10, "dress", 0.9)
    assert dress["box"] == [10, 5, 30, 15]
    runs = parse_rle(dress["rle"], 40, 20)
    assert runs_box(runs, 40) == (10, 5, 30, 15)
    assert runs_area(runs) == dress["area"] == 200
    with Image.open(project / "predictions" / photo["picture"]) as picture:
        assert picture.height > 640


def test_a_folder_stands_for_its_photos_by_name(project: Path, batches: list):
    for name in ("b.JPG", "a.png", "c.jpeg"):
        save_photo(project / "photos" / name)
    (project / "photos" / "notes.txt").write_text("no photo")
    assert main(["predict", "photos", "--out", "found"]) == 0
    files = [photo["file"] for photo in predictions(project / "found")["photos"]]
    assert files == ["photos/a.png", "photos/b.JPG", "photos/c.jpeg"]


def test_photos_with_equal_names_get_different_pictures(project: Path, batches: list):
    sources = [
        save_photo(project / folder / name)
        for folder, name in (("x", "a.jpg"), ("y", "A.jpg"), ("y", "a.png"))
    ]
    assert main(["predict", *map(str, sources), "--out", "out"]) == 0
    photos = predictions(project / "out")["photos"]
    assert [photo["picture"] for photo in photos] == ["a.png", "A_2.png", "a_3.png"]
    assert sorted(file.name for file in (project / "out").glob("*.png")) == ["A_2.png", "a.png", "a_3.png"]


def test_a_photo_given_twice_is_processed_once(project: Path, batches: list):
    save_photo(project / "photos" / "a.jpg")
    assert main(["predict", "photos", "photos/a.jpg"]) == 0
    assert len(predictions(project / "predictions")["photos"]) == 1


def test_bad_photos_are_reported_and_skipped(project: Path, batches: list, capsys: pytest.CaptureFixture):
    good = save_photo(project / "good.jpg")
    (project / "text.jpg").write_text("this is no photo")
    (project / "cut.jpg").write_bytes(good.read_bytes()[:200])
    (project / "empty").mkdir()
    assert main(["predict", "text.jpg", "cut.jpg", "missing.jpg", "empty", "good.jpg"]) == 1
    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert len(lines) == 4
    for line, name in zip(sorted(lines), ["cut.jpg", "empty", "missing.jpg", "text.jpg"], strict=True):
        assert line.startswith(f"error: {name}: ")
    assert "1 of 5 photos" in output.out
    content = predictions(project / "predictions")
    assert [photo["file"] for photo in content["photos"]] == ["good.jpg"]
    assert sorted(fault["file"] for fault in content["failed"]) == [
        "cut.jpg",
        "empty",
        "missing.jpg",
        "text.jpg",
    ]


def test_where_no_photo_is_found_nothing_is_loaded_or_written(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    monkeypatch.setitem(sys.modules, "fashionseg.detections.inference", None)  # importing it now fails
    (project / "empty").mkdir()
    assert main(["predict", "nosuch.jpg", "empty"]) == 1
    assert not (project / "predictions").exists()
    output = capsys.readouterr()
    assert output.out == "0 of 2 photos outlined\n"
    assert output.err.splitlines() == [
        "error: nosuch.jpg: no such file or folder",
        "error: empty: no photo in this folder",
    ]


def test_photos_that_cannot_be_read_are_listed_in_the_json(project: Path, batches: list):
    (project / "text.jpg").write_text("this is no photo")
    assert main(["predict", "text.jpg"]) == 1
    content = predictions(project / "predictions")
    assert (content["photos"], [fault["file"] for fault in content["failed"]]) == ([], ["text.jpg"])


def test_git_ignores_the_default_output_folder():
    words = ["git", "-C", str(ROOT), "check-ignore", "-q", "predictions/a.png"]
    assert subprocess.run(words).returncode == 0


def test_turned_and_grey_photos_are_upright_rgb(project: Path, batches: list):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to view
    save_photo(project / "turned.jpg", height=40, width=20, exif=exif)
    Image.new("L", (20, 40)).save(project / "grey.jpg")
    assert main(["predict", "turned.jpg", "grey.jpg"]) == 0
    assert batches == [[(20, 40, 3), (40, 20, 3)]]
    assert [
        (photo["height"], photo["width"]) for photo in predictions(project / "predictions")["photos"]
    ] == [
        (20, 40),
        (40, 20),
    ]


@pytest.mark.fault(
    table="photos",
    case="HEIC, JPEG XL or camera raw in a folder to predict",
    outcome="read where a package reads it, otherwise a line each and exit status 1",
)
def test_photos_of_a_folder_that_cannot_be_read_are_reported(
    project: Path, batches: list, capsys: pytest.CaptureFixture
):
    save_photo(project / "photos" / "a.jpg")
    save_photo(project / "photos" / "b.avif")
    save_photo(project / "photos" / "c.jp2")
    save_photo(project / "photos" / "no_suffix", format="JPEG")
    (project / "photos" / "d.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    (project / "photos" / "e.jxl").write_bytes(b"\xff\x0a" + bytes(99))
    (project / "photos" / "f.tif.bak").write_bytes(b"II*\0" + bytes(99))
    (project / "photos" / "notes.txt").write_text("no photo")
    assert main(["predict", "photos"]) == 1
    output = capsys.readouterr()
    assert "4 of 7 photos outlined" in output.out
    assert "no photos, skipped: photos/notes.txt\n" in output.out
    assert [line.split(":")[1] for line in output.err.splitlines()] == [
        " photos/d.HEIC",
        " photos/e.jxl",
        " photos/f.tif.bak",
    ]


def test_a_transparent_photo_is_reported_as_repaired(project: Path, batches: list):
    Image.new("RGBA", (20, 40)).save(project / "a.png")
    assert main(["predict", "a.png"]) == 0
    (photo,) = predictions(project / "predictions")["photos"]
    assert photo["repaired"] == ["transparent parts made white"]


@pytest.mark.fault(
    table="instances", case="a predicted photo without objects", outcome="counted on the console"
)
def test_photos_without_objects_are_counted(project: Path, batches: list, capsys: pytest.CaptureFixture):
    (project / "high.json").write_text(THRESHOLDS.replace('"score": 0.5', '"score": 0.95'))
    for name in ("a.png", "b.png"):
        save_photo(project / name)
    assert main(["predict", "a.png", "b.png", "--thresholds", "high.json"]) == 0
    assert "2 of 2 photos outlined, 2 of them without objects" in capsys.readouterr().out


def test_photos_are_read_a_batch_at_a_time(project: Path, batches: list):
    """predict.batch_size of params.yaml is 8."""
    for number in range(10):
        save_photo(project / "photos" / f"{number}.png")
    assert main(["predict", "photos"]) == 0
    assert [len(batch) for batch in batches] == [8, 2]


def test_the_thresholds_of_a_file_decide(project: Path, batches: list):
    save_photo(project / "a.jpg")
    (project / "low.json").write_text(THRESHOLDS.replace('"score": 0.5', '"score": 0.1'))
    assert main(["predict", "a.jpg", "--thresholds", "low.json"]) == 0
    content = predictions(project / "predictions")
    assert [i["category"] for i in content["photos"][0]["instances"]] == ["dress", "shoe"]
    assert content["thresholds"]["score"] == 0.1


def test_without_calibrated_thresholds_0_5_is_used_and_reported(
    project: Path, batches: list, capsys: pytest.CaptureFixture
):
    (project / "reports" / "thresholds.json").unlink()
    save_photo(project / "a.jpg")
    assert main(["predict", "a.jpg"]) == 0
    assert "0.5" in capsys.readouterr().out
    assert len(predictions(project / "predictions")["photos"][0]["instances"]) == 1


def test_it_works_in_a_folder_below_the_project(
    project: Path, batches: list, monkeypatch: pytest.MonkeyPatch
):
    save_photo(project / "deep" / "photos" / "a.jpg")
    monkeypatch.chdir(project / "deep")
    assert main(["predict", "photos"]) == 0
    assert (project / "deep" / "predictions" / "a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "nowhere"], "nowhere: no such folder"),
        (["--thresholds", "nowhere.json"], "nowhere.json: no such file"),
        (["--thresholds", "params.yaml"], "params.yaml: not readable as JSON"),
        (["--out", "."], "--out: expected another folder than that of the photos"),
    ],
)
def test_mistakes_are_one_line(
    project: Path, batches: list, capsys: pytest.CaptureFixture, arguments: list[str], message: str
):
    save_photo(project / "a.jpg")
    assert main(["predict", "a.jpg", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_the_same_photos_give_the_same_bytes(project: Path, batches: list):
    save_photo(project / "a.jpg")
    for out in ("one", "two"):
        assert main(["predict", "a.jpg", "--out", out]) == 0
    for name in ("a.png", "predictions.json"):
        assert (project / "one" / name).read_bytes() == (project / "two" / name).read_bytes()
