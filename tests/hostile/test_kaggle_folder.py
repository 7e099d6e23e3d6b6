"""A folder in Kaggle's layout with what nobody expects in it: decoded without it, and the report says so."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashionseg.data.tables import read_instances, read_photos
from fashionseg.errors import UserError
from fashionseg.prepare.decode import decode_folder
from fashionseg.submission.check import list_test_photos
from fashionseg.submission.score import score_submission
from fashionseg.taxonomy import LABEL_DESCRIPTIONS, competition_taxonomy, load_taxonomy
from kaggle_folder import SETTINGS, Folder, faults, square


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.fault(table="csv", case="a mask of a million runs", outcome="read")
def test_a_mask_of_a_million_runs(folder: Folder) -> None:
    """A chessboard of 2,000 x 1,000 pixels; its line has 14 MB."""
    folder.photo("a.jpg", height=2000, width=1000)
    folder.row("a.jpg", " ".join(f"{start} 1" for start in range(1, 2_000_001, 2)), 2000, 1000)
    assert faults(folder.decode(max_megapixels=3.0)) == []
    areas = read_instances(folder.decoded).set_index("image_id")["area_512"]
    assert 0.4 < areas["a.jpg"] / 512**2 < 0.6


@pytest.mark.fault(table="photos", case="`a.jpg` next to `A.jpg`", outcome="two photos")
def test_names_that_differ_in_capitals_are_two_photos(folder: Folder) -> None:
    for name in ("a.jpg", "A.jpg"):
        folder.photo(name)
    folder.row("a.jpg", class_id="1")
    folder.row("A.jpg", class_id="2")
    assert faults(folder.decode()) == []
    instances = read_instances(folder.decoded)
    assert dict(zip(instances["image_id"], instances["category"], strict=True)) == {
        "A.jpg": 2,
        "a.jpg": 1,
        "good.jpg": 23,
    }


@pytest.mark.fault(
    table="photos",
    case="a file name that is not UTF-8 or contains a line feed",
    outcome="dropped: no csv can name it",
)
def test_names_that_no_csv_can_hold_are_dropped(folder: Folder) -> None:
    """Bytes that are not UTF-8, a line feed: neither a row nor a submission can name such a photo."""
    for subset in ("train", "test"):
        for name in (b"\xff.jpg", b"a\nb.jpg"):
            (folder.raw / subset / os.fsdecode(name)).write_bytes(b"photo")
    folder.photo("good.jpg", "test")
    folder.photo("with blanks, comma.jpg", "test")
    report = folder.decode()
    assert [(fault["file"], fault["outcome"]) for fault in report["faults"]] == [
        (f"{subset}/{name}", "dropped")
        for subset in ("train", "test")
        for name in ("a\\nb.jpg", "\\udcff.jpg")
    ]
    decoded = read_photos(folder.decoded, "test")["image_id"].tolist()
    assert decoded == ["good.jpg", "with blanks, comma.jpg"] == list_test_photos(folder.raw / "test")


@pytest.mark.fault(table="csv", case="`train.csv` cut in the middle of a line", outcome="that row dropped")
def test_a_truncated_csv_loses_only_its_last_row(folder: Folder) -> None:
    folder.photo("a.jpg")
    folder.row("a.jpg")
    folder.decode()
    csv = folder.raw / "train.csv"
    csv.write_bytes(csv.read_bytes()[:-12])
    decode_folder(folder.raw, folder.decoded, SETTINGS)
    report = json.loads((folder.decoded / "report.json").read_text())
    assert report["faults"][0] | {"reason": ""} == {
        "file": "train.csv",
        "reason": "",
        "outcome": "dropped",
        "row": 3,
    }
    assert read_photos(folder.decoded, "train")["image_id"].tolist() == ["good.jpg"]


@pytest.mark.fault(table="csv", case="`train.csv` in Latin-1", outcome="rows that are not UTF-8 dropped")
def test_a_csv_of_another_encoding_keeps_the_rows_that_are_ascii(folder: Folder) -> None:
    folder.photo("\u00e4.jpg")
    folder.row("\u00e4.jpg")
    (folder.raw / "train.csv").write_bytes(("\n".join(folder.lines) + "\n").encode("latin-1"))
    decode_folder(folder.raw, folder.decoded, SETTINGS)
    report = json.loads((folder.decoded / "report.json").read_text())
    assert faults(report) == [
        ("dropped", "expected UTF-8 text, got other bytes"),
        ("dropped", "no row in train.csv"),
    ]


@pytest.mark.fault(
    table="photos", case="16-bit, animated", outcome="converted to 8-bit, first frame, repaired"
)
def test_16_bit_and_animated_photos_are_converted_and_reported(folder: Folder) -> None:
    grey = np.where(square(), 220, 20).astype(np.uint16)
    Image.fromarray(grey * 256).save(folder.raw / "train" / "a.png")
    frames = [Image.fromarray(shade.astype(np.uint8)) for shade in (grey, 255 - grey)]
    frames[0].save(folder.raw / "train" / "b.gif", save_all=True, append_images=frames[1:])
    for name in ("a.png", "b.gif"):
        folder.row(name)
    assert faults(folder.decode()) == [
        ("repaired", "16-bit made RGB"),
        ("repaired", "the first of 2 frames used"),
    ]
    assert folder.mask_and_photo_agree("a.png")
    assert folder.mask_and_photo_agree("b.gif")


@pytest.mark.fault(table="photos", case="a photo without rows; a folder or a broken link in place of a photo")
def test_a_folder_or_a_broken_link_is_no_photo(folder: Folder) -> None:
    (folder.raw / "train" / "a.jpg").mkdir()
    (folder.raw / "train" / "b.jpg").symlink_to("nowhere")
    folder.row("a.jpg")
    folder.row("b.jpg")
    assert [reason[:30] for _, reason in faults(folder.decode())] == ["ImageId: expected a file of tr"] * 2


@pytest.mark.parametrize("side", ["1000000001", "9" * 18, "9" * 5000])
@pytest.mark.fault(
    table="csv", case="an absurd size in a truth to score against", outcome="refused, with the row"
)
def test_an_absurd_size_in_a_truth_to_score_against_is_one_line(tmp_path: Path, side: str) -> None:
    """Tables as long as a side would fill the memory."""
    truth, submission = tmp_path / "truth.csv", tmp_path / "submission.csv"
    truth.write_text(f"ImageId,EncodedPixels,Height,Width,ClassId\na.jpg,1 1,{side},{side},6\n")
    submission.write_text("ImageId,EncodedPixels,ClassId\na.jpg,1 1,6\n")
    with pytest.raises(UserError, match=r"truth.csv: row 2: Height: expected") as error:
        score_submission(truth, submission, "category")
    assert len(str(error.value)) < 300


def test_a_mask_beyond_32_bits_is_one_line(tmp_path: Path) -> None:
    truth, submission = tmp_path / "truth.csv", tmp_path / "submission.csv"
    truth.write_text("ImageId,EncodedPixels,Height,Width,ClassId\na.jpg,3000000000 5,1000000,1000000,6\n")
    submission.write_text("ImageId,EncodedPixels,ClassId\na.jpg,1 1,6\n")
    with pytest.raises(UserError, match="row 2: EncodedPixels: expected a mask of at most 2147483647 pixels"):
        score_submission(truth, submission, "category")


def labels() -> dict:
    return competition_taxonomy().to_descriptions()


def change_id(labels: dict) -> None:
    labels["categories"][45]["id"] = 46


def repeat_name(labels: dict) -> None:
    labels["categories"][1]["name"] = labels["categories"][0]["name"]


def lose_name(labels: dict) -> None:
    labels["categories"][3]["name"] = " "


def lose_all(labels: dict) -> None:
    labels["categories"].clear()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_id, "expected ids 0 to 45 without gaps"),
        (repeat_name, "expected different names, got 'shirt, blouse' twice"),
        (lose_name, "expected a name for id 3, got none"),
        (lose_all, "categories: expected 1 to 10000, got 0"),
    ],
)
@pytest.mark.fault(
    table="labels-and-archives",
    case="`label_descriptions.json` with gaps in its ids, or names that are missing or repeated",
    outcome="refused",
)
def test_labels_that_name_no_category_each_are_refused(tmp_path: Path, change, message: str) -> None:
    path = tmp_path / LABEL_DESCRIPTIONS
    path.write_text(json.dumps(labels()))
    assert load_taxonomy(path) == competition_taxonomy()  # the control
    changed = labels()
    change(changed)
    path.write_text(json.dumps(changed))
    with pytest.raises(UserError, match=message):
        load_taxonomy(path)


@pytest.mark.parametrize("content", ["[" * 100_000, "", "null", '{"categories": "x"}', "{"])
def test_unreadable_labels_are_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / LABEL_DESCRIPTIONS).write_text(content)
    with pytest.raises(UserError, match="not a label description") as error:
        load_taxonomy(tmp_path / LABEL_DESCRIPTIONS)
    assert "\n" not in str(error.value)
