"""Truths as the stage `decode` writes them, restricted to the requested photos."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fashionseg.data.rle import parse_rle
from fashionseg.data.tables import pack_runs, unpack_runs
from fashionseg.data.truths import read_truths
from fashionseg.detections.photos import cut_truths, pair_photos
from fashionseg.detections.store import no_detections
from fashionseg.errors import UserError


def packed(text):
    return pack_runs(parse_rle(text, 512, 512)) if text else b""


@pytest.fixture
def decoded(tmp_path):
    """Rows of b before those of a; one mask of b vanished at 512 x 512."""
    table = {
        "image_id": ["b", "b", "a", "c", "a"],
        "category": pa.array([6, 7, 10, 1, 31], pa.int16()),
        "class_id": ["6", "7", "10_3", "1", "31"],
        "runs_512": [packed(text) for text in ("1 5", "", "7 2", "1 1", "9 4")],
    }
    pq.write_table(pa.table(table), tmp_path / "instances.parquet")
    return tmp_path


def test_truths_come_by_photo_id_then_in_table_order(decoded):
    truths = read_truths(decoded, ["d", "b", "a"])
    assert truths.photos == ("a", "b", "d")
    assert [runs.tolist() for runs in truths.runs] == [[[6, 2]], [[8, 4]], [[0, 5]]]
    assert truths.class_ids == ("10_3", "31", "6")
    assert truths.categories.tolist() == [10, 31, 6]
    assert [len(photo) for photo in cut_truths(truths)] == [2, 1, 0]
    assert [mask.area for mask in cut_truths(truths)[0].masks()] == [2, 4]


def test_detections_and_truths_must_cover_the_same_photos(decoded):
    truths = read_truths(decoded, ["a", "b"])
    assert len(pair_photos(no_detections(["b", "a"]), truths)) == 2
    with pytest.raises(ValueError, match="same photos"):
        pair_photos(no_detections(["a"]), truths)


def test_packed_runs_are_read_as_they_were():
    runs = np.array([[3, 5], [100_000, 162_144]], np.int32)
    (found,) = unpack_runs(pa.chunked_array([[pack_runs(runs)]]), "table")
    np.testing.assert_array_equal(found, runs)
    assert found.dtype == np.int32


def test_half_a_run_is_refused():
    with pytest.raises(UserError, match="expected pairs of int32"):
        unpack_runs(pa.chunked_array([[b"1234567"]]), "table")


def test_a_missing_or_broken_table_is_named(tmp_path):
    with pytest.raises(UserError, match=r"instances\.parquet: no such file; run the stage decode"):
        read_truths(tmp_path, ["a"])
    path = tmp_path / "instances.parquet"
    path.write_bytes(b"no table")
    with pytest.raises(UserError, match=r"instances\.parquet: not readable as Parquet"):
        read_truths(tmp_path, ["a"])
    pq.write_table(pa.table({"image_id": ["a"], "rle_512": ["1 5"]}), path)
    with pytest.raises(UserError, match="expected the columns category, class_id, runs_512; run the stage"):
        read_truths(tmp_path, ["a"])
