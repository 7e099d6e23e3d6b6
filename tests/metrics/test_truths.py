"""Truths as the stage `decode` leaves them, cut to the photos asked for."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fashionseg.detections.photos import cut_truths, pair_photos
from fashionseg.detections.store import no_detections
from fashionseg.errors import UserError
from fashionseg.metrics.truths import read_truths


@pytest.fixture
def decoded(tmp_path):
    """Rows of b before those of a; one mask of b vanished at 512 x 512."""
    table = {
        "image_id": ["b", "b", "a", "c", "a"],
        "category": pa.array([6, 7, 10, 1, 31], pa.int16()),
        "class_id": ["6", "7", "10_3", "1", "31"],
        "rle_512": ["1 5", "", "7 2", "1 1", "9 4"],
    }
    pq.write_table(pa.table(table), tmp_path / "instances.parquet")
    return tmp_path


def test_truths_of_the_photos_asked_for_by_id_in_the_order_of_the_table(decoded):
    truths = read_truths(decoded, ["d", "b", "a"])
    assert truths.photos == ("a", "b", "d")
    assert truths.rles == ("7 2", "9 4", "1 5")
    assert truths.class_ids == ("10_3", "31", "6")
    assert truths.categories.tolist() == [10, 31, 6]
    assert [len(photo) for photo in cut_truths(truths)] == [2, 1, 0]
    assert [mask.area for mask in cut_truths(truths)[0].masks()] == [2, 4]


def test_detections_and_truths_must_cover_the_same_photos(decoded):
    truths = read_truths(decoded, ["a", "b"])
    assert len(pair_photos(no_detections(["b", "a"]), truths)) == 2
    with pytest.raises(ValueError, match="different"):
        pair_photos(no_detections(["a"]), truths)


def test_a_missing_or_broken_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"instances\.parquet: no such file"):
        read_truths(tmp_path, ["a"])
    (tmp_path / "instances.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"instances\.parquet: not readable"):
        read_truths(tmp_path, ["a"])
