"""Stored detections: sorted, the same bytes every time, and nothing lost on the way."""

import numpy as np
import pytest

from fashionseg.detections.store import (
    Detections,
    no_detections,
    read_detections,
    write_detections,
)
from fashionseg.errors import UserError


def small() -> Detections:
    """Two photos given in the wrong order, three rows given by rising score."""
    masks = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    boxes = np.array([[0.1, 0.2, 0.5, 0.6], [-0.5, 0, 1, 1.5], [0, 0, 1, 1]])
    return Detections.build(["b", "a", "c"], [0, 0, 1], [3, 4, 5], [0.25, 0.75, 0.5], boxes, masks)


def test_rows_are_sorted_by_photo_then_falling_score():
    detections = small()
    assert detections.photos == ("a", "b", "c")
    np.testing.assert_array_equal(detections.photo_index, [0, 1, 1])
    np.testing.assert_array_equal(detections.scores, np.float32([0.5, 0.75, 0.25]))
    np.testing.assert_array_equal(detections.categories, [5, 4, 3])
    np.testing.assert_array_equal(detections.mask_probs[:, 0, 0], [2, 1, 0])
    np.testing.assert_array_equal(detections.offsets, [0, 1, 3, 3])


def test_boxes_are_clipped_to_the_photo():
    np.testing.assert_array_equal(small().boxes_norm[1], [0, 0, 1, 1])


def test_detections_round_trip(tmp_path):
    write_detections(small(), tmp_path / "predictions")
    found = read_detections(tmp_path / "predictions")
    assert found.photos == small().photos
    for name in ("photo_index", "categories", "scores", "boxes_norm", "mask_probs"):
        np.testing.assert_array_equal(getattr(found, name), getattr(small(), name))
        assert getattr(found, name).dtype == getattr(small(), name).dtype


def test_no_detections_round_trip(tmp_path):
    write_detections(no_detections(["b", "a"]), tmp_path / "predictions")
    found = read_detections(tmp_path / "predictions")
    assert found.photos == ("a", "b")
    assert len(found) == 0
    assert found.mask_probs.shape == (0, 28, 28)


def test_the_same_detections_give_the_same_bytes(tmp_path):
    for name in ("first", "second"):
        write_detections(small(), tmp_path / name)
    for file in ("detections.parquet", "photos.txt"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


def test_a_photo_named_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        Detections.build(["a", "a"], [], [], [], np.zeros((0, 4)), np.zeros((0, 28, 28)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        Detections.build(["a"], [0], [1], [bad], np.zeros((1, 4)), np.zeros((1, 28, 28)))


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"photos\.txt: no such file"):
        read_detections(tmp_path)
    (tmp_path / "photos.txt").write_text("a\n")
    with pytest.raises(UserError, match=r"detections\.parquet: no such file"):
        read_detections(tmp_path)
    (tmp_path / "detections.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match=r"detections\.parquet: not readable"):
        read_detections(tmp_path)


def test_a_photo_missing_from_the_list_is_refused(tmp_path):
    write_detections(small(), tmp_path / "predictions")
    (tmp_path / "predictions" / "photos.txt").write_text("a\nc\n")
    with pytest.raises(UserError, match="'b' is not in photos"):
        read_detections(tmp_path / "predictions")
