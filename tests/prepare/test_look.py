"""Look at your data: what is noticed in rows that are each right, in the report, on the console, in pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashionseg.console import exit_code
from fashionseg.data.rle import mask_to_runs
from fashionseg.data.tables import Instance
from fashionseg.prepare.look import AREA, MANY, MISSING, TWICE, Look, find_twins, shared_area
from fashionseg.stages import decode as stage
from fashionseg.taxonomy import competition_taxonomy
from kaggle_folder import Folder, square, text


def instance(category: int, mask: np.ndarray) -> Instance:
    return Instance(category, (), None, mask_to_runs(mask))


def box(top: int, left: int, side: int) -> np.ndarray:
    return square(top, left, side, 512, 512)


def look_at(
    photos: dict[str, list[Instance]], max_instances: int | None = None, num_unknown: int = 0
) -> dict:
    look = Look(competition_taxonomy(), max_instances)
    for image_id, instances in photos.items():
        look.add(image_id, instances, find_twins(instances))
    return look.describe(num_unknown)


def kinds(report: dict) -> list[tuple[str, str]]:
    return [(suspect["kind"], suspect["image_id"]) for suspect in report["suspects"]]


def test_shared_area_by_hand() -> None:
    a, b = mask_to_runs(box(10, 10, 20)), mask_to_runs(box(15, 25, 20))
    assert shared_area(a, b) == shared_area(b, a) == 15 * 5
    assert shared_area(a, mask_to_runs(box(100, 100, 5))) == 0


def test_objects_annotated_twice_are_found_whatever_their_categories() -> None:
    """Of 100 x 100 pixels, 98 x 98 within them have an IoU of 0.9604, 97 x 97 one of 0.9409."""
    objects = [instance(4, box(10, 10, 100)), instance(9, box(10, 10, 98)), instance(4, box(10, 10, 97))]
    assert find_twins(objects) == [(0, 1), (1, 2)]
    report = look_at({"a.jpg": objects[:2]})
    assert kinds(report)[0] == (TWICE, "a.jpg")
    assert report["suspects"][0]["reason"] == "one object as jacket and as coat"
    assert "1 object annotated twice, as in a.jpg" in report["notes"]


def test_shifted_class_ids_leave_the_first_category_out() -> None:
    photos = {f"{n}.jpg": [instance(1 + n % 3, box(5, 5, 50))] for n in range(9)}
    report = look_at(photos, num_unknown=2)
    assert report["notes"][:2] == [
        "never annotated though their neighbours are: 0 shirt",
        "2 rows of categories beyond 45: are ClassIds shifted by one?",
    ]
    assert kinds(report) == [(MISSING, "0.jpg")]
    assert report["suspects"][0]["reason"] == "no shirt (0) in the data: is this a top (1)?"


def test_photos_with_more_objects_than_fit_are_counted() -> None:
    few = {f"{n}.jpg": [instance(0, box(5, 5, 50))] for n in range(9)}
    many = {"many.jpg": [instance(1, box(5, 5 + 30 * n, 20)) for n in range(15)]}
    report = look_at(few | many, max_instances=14)
    assert "1 photo with more than 14 objects (sampling.max_gt_instances)" in report["notes"]
    assert (MANY, "many.jpg") in kinds(report)
    assert report["objects_per_photo"] == {"smallest": 1.0, "median": 1.0, "p95": 8.7, "largest": 15.0}


def test_areas_far_from_their_category_are_listed_the_farthest_first() -> None:
    photos = {f"{n}.jpg": [instance(0, box(5, 5, 50 + n))] for n in range(30)}
    photos |= {"tiny.jpg": [instance(0, box(5, 5, 2))], "huge.jpg": [instance(0, box(0, 0, 500))]}
    report = look_at(photos)
    assert kinds(report) == [(AREA, "tiny.jpg"), (AREA, "huge.jpg")]
    assert report["suspects"][0]["reason"] == "shirt of 0.0015 % of the photo, usually 1.6 %"


def test_ordinary_data_gives_no_note_and_the_class_balance() -> None:
    photos = {
        f"{n}.jpg": [instance(n % 2, box(5, 5, 50 + n % 7)), instance(1, box(200, 5, 60))] for n in range(40)
    }
    report = look_at(photos)
    assert (report["notes"], report["suspects"]) == ([], [])
    assert [(c["name"], c["instances"], c["photos"]) for c in report["categories"]] == [
        ("shirt", 20, 20),
        ("top", 60, 40),
    ]


@pytest.mark.fault(
    table="csv",
    case="ClassIds shifted by one, an object annotated in two classes, more objects than fit, odd areas",
    outcome="accepted; a line on the console, a part of the report and pictures of the suspects",
)
def test_the_stage_prints_a_line_and_draws_the_suspects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    folder = Folder(tmp_path)
    folder.row("good.jpg", class_id="24")  # the shoe again, as a bag
    folder.row("good.jpg", text(square(0, 0, 5)), class_id="46")
    (folder.raw / "train.csv").write_text("\n".join(folder.lines) + "\n")
    monkeypatch.setattr("sys.argv", ["decode", "--raw", str(folder.raw), "--decoded", str(folder.decoded)])
    assert exit_code(stage.main) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "look at your data" in line]
    assert "1 object annotated twice, as in good.jpg" in line
    assert "1 row of categories beyond 45: are ClassIds shifted by one?" in line
    assert line.endswith(f"pictures in {tmp_path / 'suspects'}")
    report = json.loads((folder.decoded / "report.json").read_text())
    assert report["look"]["suspects"][0]["instances"] == [0, 1]
    with Image.open(tmp_path / "suspects" / "01_annotated_twice_good.png") as picture:
        assert picture.height > 600
    assert (
        "01_annotated_twice_good.png: one object as shoe and as bag"
        in (tmp_path / "suspects" / "README.txt").read_text()
    )
