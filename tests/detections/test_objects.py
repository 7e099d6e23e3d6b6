"""Objects at the size of their photo: the same detections as in a submission, masks that share no pixel."""

from __future__ import annotations

import numpy as np
import pytest

from fashionseg.data.rle import runs_area, runs_box, runs_to_mask
from fashionseg.detections.instances import Thresholds
from fashionseg.detections.objects import PhotoObject, photo_objects
from fashionseg.detections.store import Detections

DRESS, SHOE = 10, 23
HALVES = Thresholds(score=0.5, nms=0.5, mask=0.5, min_area=1)
FULL = np.full((28, 28), 255, np.uint8)


def detections(rows: list[tuple[int, float, list[float]]], photos: tuple[str, ...] = ("a",)) -> Detections:
    """Of (category, score, box as fractions), all in the first photo, all with a full mask."""
    return Detections.build(
        photos,
        np.zeros(len(rows)),
        np.array([category for category, _, _ in rows]),
        np.array([score for _, score, _ in rows]),
        np.array([box for _, _, box in rows]).reshape(-1, 4),
        np.stack([FULL] * len(rows)) if rows else np.zeros((0, 28, 28)),
    )


def found(rows: list[tuple[int, float, list[float]]], height: int, width: int) -> list[PhotoObject]:
    photo = np.zeros((height, width, 3), np.uint8)
    return photo_objects(detections(rows), [("a", photo)], HALVES)[0]


def test_box_and_mask_are_in_pixels_of_the_photo():
    """A quarter to three quarters of 200 x 100."""
    (one,) = found([(DRESS, 0.9, [0.25, 0.25, 0.75, 0.75])], 200, 100)
    assert one.box == (50, 25, 150, 75)
    assert runs_box(one.runs, 200) == (50, 25, 150, 75)
    assert runs_area(one.runs) == 100 * 50
    assert (one.category, one.score) == (DRESS, pytest.approx(0.9))


def test_objects_are_sorted_by_score_and_above_the_threshold():
    rows = [(SHOE, 0.3, [0, 0, 0.5, 0.5]), (DRESS, 0.6, [0, 0, 1, 1]), (SHOE, 0.8, [0.5, 0.5, 1, 1])]
    assert [(one.category, round(one.score, 3)) for one in found(rows, 100, 100)] == [
        (SHOE, 0.8),
        (DRESS, 0.6),
    ]


def test_objects_of_one_category_share_no_pixel():
    """Two shoes that overlap by a third of their boxes' union, so both stay; the surer one keeps its pixels."""
    rows = [(SHOE, 0.9, [0, 0, 1, 0.6]), (SHOE, 0.8, [0, 0.3, 1, 0.9])]
    first, second = found(rows, 100, 100)
    assert runs_area(first.runs) == 60 * 100
    assert runs_area(second.runs) == 30 * 100
    assert not (runs_to_mask(first.runs, (100, 100)) & runs_to_mask(second.runs, (100, 100))).any()


def test_objects_of_two_categories_may_overlap():
    dress, sleeve = found([(DRESS, 0.9, [0, 0, 1, 1]), (31, 0.8, [0, 0, 0.5, 0.5])], 100, 100)
    assert runs_area(dress.runs) == 100 * 100
    assert runs_area(sleeve.runs) == 50 * 50


def test_a_mask_without_a_pixel_in_the_photo_is_dropped():
    """3 rows of 512 lie between the centres of two rows of 8."""
    assert found([(DRESS, 0.9, [0.25, 0, 0.255, 1])], 8, 8) == []


def test_objects_are_in_the_order_of_the_photos():
    rows = [(DRESS, 0.9, [0.0, 0.0, 1.0, 1.0])]
    photo = np.zeros((10, 10, 3), np.uint8)
    objects = photo_objects(detections(rows, ("b", "a")), [("b", photo), ("a", photo)], HALVES)
    assert [len(of_photo) for of_photo in objects] == [1, 0]
