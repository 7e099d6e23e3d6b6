"""What stages leave for each other, damaged on the way: one line that says which stage makes it anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fashionseg.data.jpeg import encode_jpeg
from fashionseg.data.loader import inference_batches
from fashionseg.data.records import PhotoRecord, PhotoSource, ShardWriter, shard_paths
from fashionseg.data.splits import read_ids
from fashionseg.data.tables import read_photos, write_photos
from fashionseg.detections.store import no_detections, read_detections, write_detections
from fashionseg.detections.thresholds import read_thresholds
from fashionseg.errors import UserError
from fashionseg.params import Model, parse_section


@pytest.fixture
def decoded(tmp_path: Path) -> Path:
    """Five photos in three shards."""
    writer = ShardWriter(tmp_path, "train", per_shard=2)
    rows = []
    for number in range(5):
        jpeg = encode_jpeg(np.full((40, 30, 3), number, np.uint8), 95)
        index = writer.write(PhotoRecord(f"{number}.jpg", jpeg, 40, 30, np.zeros(0, np.int16), ()))
        size = {"height": 40, "width": 30, "stored_height": 40, "stored_width": 30}
        rows.append({"subset": "train", "image_id": f"{number}.jpg", **size, "record": index, "dhash": 0})
    writer.close()
    write_photos(tmp_path, rows)
    return tmp_path


IDS = [f"{number}.jpg" for number in range(5)]


@pytest.mark.fault(
    table="stored-files",
    case="decoded shards or tables damaged or missing",
    outcome="refused: run the stage again",
)
def test_a_damaged_shard_is_named_with_the_remedy(decoded: Path) -> None:
    path = shard_paths(decoded, "train")[1]
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"train-\*\.arrayrecord: damaged, run the stage decode again"):
        list(inference_batches(decoded, "train", IDS, 64, 2))


def test_a_truncated_shard_is_named(decoded: Path) -> None:
    path = shard_paths(decoded, "train")[0]
    path.write_bytes(path.read_bytes()[:70_000])
    with pytest.raises(UserError, match="damaged, run the stage decode again"):
        [PhotoSource(decoded, "train", range(5))[place] for place in range(5)]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.fault(table="stored-files", case="decoded shards or tables damaged or missing")
def test_a_missing_shard_is_reported_before_a_photo_is_read(decoded: Path, place: int) -> None:
    shard_paths(decoded, "train")[place].unlink()
    with pytest.raises(UserError, match=r"expected all of train-\*\.arrayrecord, found 2"):
        PhotoSource(decoded, "train", range(5))


def test_a_record_beyond_the_shards_is_reported(decoded: Path) -> None:
    with pytest.raises(UserError, match="expected record 7, found 5 records"):
        PhotoSource(decoded, "train", [0, 7])


RECORD = PhotoRecord("a.jpg", b"jpeg", 4, 3, np.array([5], np.int16), (np.array([[1, 2], [8, 4]], np.int32),))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image_id": 5}, "has another type"),
        ({"jpeg": "text"}, "has another type"),
        ({"height": 0}, "a photo of 0 x 3"),
        ({"height": True}, "a photo of True x 3"),
        ({"width": 2**40}, "a photo of 4 x "),
        ({"categories": np.zeros(2, np.int16)}, "2 categories and 1 masks"),
        ({"categories": np.array([-1], np.int16)}, "a category below 0"),
        ({"runs": (np.zeros((0, 2), np.int32),)}, "1 categories and 1 masks"),
        ({"runs": (np.array([[11, 2]], np.int32),)}, "a run outside its photo"),
        ({"runs": (np.array([[-1, 2]], np.int32),)}, "a run outside its photo"),
        ({"runs": (np.array([[1, 0]], np.int32),)}, "a run outside its photo"),
        ({"runs": (np.array([[1, 2**31 - 1]], np.int32),)}, "a run outside its photo"),
        ({"runs": (np.array([[5, 2], [1, 2]], np.int32),)}, "runs out of order"),
    ],
)
def test_a_record_that_would_do_harm_later_is_refused(changes: dict, reason: str) -> None:
    assert PhotoRecord.from_bytes(RECORD.to_bytes()).height == 4  # the control
    damaged = PhotoRecord(**{**RECORD.__dict__, **changes})
    with pytest.raises(ValueError, match=f"expected a photo record, got other bytes: .*{reason}"):
        PhotoRecord.from_bytes(damaged.to_bytes())


def test_a_damaged_table_is_named(decoded: Path) -> None:
    path = decoded / "photos.parquet"
    for content in (b"no table", path.read_bytes()[:-10]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"photos\.parquet: not readable as Parquet"):
            read_photos(decoded, "train")


def test_ids_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_bytes(b"\xff\n")
    with pytest.raises(UserError, match=r"train\.txt: expected UTF-8 text"):
        read_ids(tmp_path / "train.txt", "split")


def test_photos_with_blanks_in_their_names_keep_them(tmp_path: Path) -> None:
    """Found while the fuzz tests were written: `my photo.jpg` was read back as two photos."""
    names = ("a\u2028b.jpg", "my photo.jpg")
    write_detections(no_detections(names), tmp_path / "predictions")
    assert read_detections(tmp_path / "predictions").photos == names


@pytest.mark.parametrize(
    "values",
    [
        {"score": 0.5, "nms": 0.5, "mask": 0.5, "min_area": float("inf")},
        {"score": float("nan"), "nms": 0.5, "mask": 0.5, "min_area": 1},
        {"score": 1.5, "nms": 0.5, "mask": 0.5, "min_area": 1},
        {"score": 0.5, "nms": 0.5, "mask": 0.5, "min_area": -1},
        {"score": 0.5, "nms": 0.5, "mask": 0.5, "min_area": 1, "garment_nms": 1.5, "garments": [4, 9]},
        {"score": 0.5, "nms": 0.5, "mask": 0.5, "min_area": 1, "garment_nms": 0.5},  # of which categories
        {"score": 0.5, "nms": 0.5, "mask": 0.5, "min_area": 1, "garment_nms": 0.5, "garments": ["coat"]},
        {"score": 0.5},
        [],
    ],
)
def test_thresholds_out_of_range_are_one_line(tmp_path: Path, values: object) -> None:
    path = tmp_path / "thresholds.json"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=r"thresholds\.json: expected") as error:
        read_thresholds(path)
    assert "\n" not in str(error.value)


def test_a_model_description_of_endless_depth_is_one_line(tmp_path: Path) -> None:
    values: dict = {}
    for _ in range(500):
        values = {"model": values}
    with pytest.raises(UserError, match="50 deep"):
        parse_section(Model, values, tmp_path / "model.json")
