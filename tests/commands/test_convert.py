"""`fashionseg convert`: between COCO json, Kaggle's layout and predictions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as reference

from fashionseg.cli import main
from fashionseg.data.rle import format_rle, mask_to_runs
from fashionseg.taxonomy import competition_taxonomy

SIZES = {"a.jpg": (50, 31), "b.jpg": (24, 64)}


def blob(rng: np.random.Generator, hw: tuple[int, int]) -> np.ndarray:
    return cv2.blur(rng.random(hw), (9, 9)) > 0.5


@pytest.fixture
def kaggle(tmp_path: Path) -> tuple[Path, list[tuple[str, np.ndarray, str]]]:
    """A folder in Kaggle's layout, and the name, mask and ClassId of each row."""
    folder = tmp_path / "kaggle"
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    (folder / "label_descriptions.json").write_text(json.dumps(competition_taxonomy().to_descriptions()))
    rng = np.random.default_rng(2)
    rows = [
        (name, blob(rng, SIZES[name]), label)
        for name, label in (("a.jpg", "6_0_91"), ("a.jpg", "23"), ("b.jpg", "10_3_20_34"), ("b.jpg", "45"))
    ]
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("ImageId", "EncodedPixels", "Height", "Width", "ClassId"))
        writer.writerows(
            (name, format_rle(mask_to_runs(mask)), *mask.shape, label) for name, mask, label in rows
        )
    for name, hw in SIZES.items():
        cv2.imwrite(str(folder / "train" / name), np.full((*hw, 3), 90, np.uint8))
    return folder, rows


def read_rows(path: Path) -> list[tuple[str, ...]]:
    with path.open(newline="") as file:
        return sorted(map(tuple, csv.reader(file)))


def test_kaggles_layout_goes_to_coco_and_back_to_the_pixel(
    kaggle: tuple[Path, list], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, rows = kaggle
    assert main(["convert", str(folder), str(tmp_path / "coco.json")]) == 0
    content = json.loads((tmp_path / "coco.json").read_text())
    assert len(content["annotations"]) == len(rows)
    for entry, (name, mask, label) in zip(content["annotations"], rows, strict=True):
        assert content["images"][entry["image_id"]]["file_name"] == name
        np.testing.assert_array_equal(reference.decode(entry["segmentation"]), mask)
        assert entry["area"] == mask.sum()
        assert entry["bbox"] == reference.toBbox(entry["segmentation"]).tolist()
        assert "_".join(map(str, (entry["category_id"], *entry["attribute_ids"]))) == label
    again = tmp_path / "again"
    words = ["convert", str(tmp_path / "coco.json"), str(again), "--photos", str(folder / "train")]
    assert main(words) == 0
    assert read_rows(again / "train.csv") == read_rows(folder / "train.csv")
    assert json.loads((again / "label_descriptions.json").read_text()) == json.loads(
        (folder / "label_descriptions.json").read_text()
    )
    assert "4 objects on 2 photos" in capsys.readouterr().out


def test_a_bad_row_is_left_out_with_its_reason(
    kaggle: tuple[Path, list], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder, _ = kaggle
    with (folder / "train.csv").open("a") as file:
        file.write("a.jpg,1 99999,50,31,3\r\n")
    assert main(["convert", str(folder), str(tmp_path / "coco.json")]) == 1
    assert "left out: row 6: EncodedPixels" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "coco.json").read_text())["annotations"]) == 4


def predictions(mask: np.ndarray) -> dict[str, Any]:
    found = {"category_id": 1, "category": "coat", "score": 0.75, "rle": format_rle(mask_to_runs(mask))}
    height, width = mask.shape
    return {"photos": [{"file": "mine/a.jpg", "height": height, "width": width, "instances": [found]}]}


def test_predictions_become_annotations_with_a_score(tmp_path: Path) -> None:
    mask = blob(np.random.default_rng(5), (50, 31))
    (tmp_path / "predictions.json").write_text(json.dumps(predictions(mask)))
    assert main(["convert", str(tmp_path / "predictions.json"), str(tmp_path / "coco.json")]) == 0
    content = json.loads((tmp_path / "coco.json").read_text())
    assert content["images"] == [{"id": 0, "file_name": "a.jpg", "height": 50, "width": 31}]
    assert content["categories"] == [{"id": 1, "name": "coat", "supercategory": ""}]
    (entry,) = content["annotations"]
    assert (entry["category_id"], entry["score"]) == (1, 0.75)
    np.testing.assert_array_equal(reference.decode(entry["segmentation"]), mask)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bad.json", "out"], "--photos: expected the folder"),
        (["nowhere.json", "out", "--photos", "."], "nowhere.json: no such file"),
        (["bad.json", "out", "--photos", "."], "bad.json: images: expected a list"),
        (["predictions.json", "out.json"], "predictions.json: not a file of `fashionseg predict`"),
        (["bad.json", "bad.json"], "bad.json: expected a name that is not taken"),
        ([".", "out.json"], "label_descriptions.json: no such file"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.json").write_text("{}")
    Path("predictions.json").write_text('{"photos": [{}]}')
    assert main(["convert", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("out").exists() and not Path("out.json").exists()
