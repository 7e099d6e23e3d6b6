"""Box algebra: frames, deltas, overlaps."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from fashionseg.ops.boxes import (
    MAX_STRETCH,
    apply_deltas,
    clip_boxes,
    denormalise,
    encode_deltas,
    iou_matrix,
    is_real,
    normalise,
)


def array(tensor: object) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def test_a_normalised_box_runs_from_pixel_centre_to_pixel_centre():
    # Image 11 x 21. Pixels 2..5 (y) and 4..13 (x): centres 2..5 of 0..10, and 4..13 of 0..20.
    boxes = np.array([[2, 4, 6, 14]], np.float32)
    np.testing.assert_allclose(array(normalise(boxes, 11, 21)), [[0.2, 0.2, 0.5, 0.65]], rtol=1e-6)


def test_the_whole_image_is_zero_to_one_in_both_directions():
    np.testing.assert_array_equal(array(normalise(np.array([[0, 0, 11, 21]]), 11, 21)), [[0, 0, 1, 1]])
    np.testing.assert_array_equal(
        array(denormalise(np.array([[0, 0, 1, 1]], np.float32), 11, 21)), [[0, 0, 11, 21]]
    )


def test_denormalise_is_the_inverse_of_normalise():
    boxes = np.random.default_rng(0).uniform(0, 64, (20, 4)).astype(np.float32)
    np.testing.assert_allclose(array(denormalise(normalise(boxes, 48, 64), 48, 64)), boxes, atol=1e-4)


def test_deltas_move_by_the_size_and_stretch_about_the_centre():
    # Height 10, width 20, centre (15, 20). dy 0.1 -> down 1; dx -0.5 -> left 10; height x 2, width x 0.5.
    box = np.array([[10, 10, 20, 30]], np.float32)
    deltas = np.array([[0.1, -0.5, np.log(2.0), np.log(0.5)]], np.float32)
    np.testing.assert_allclose(array(apply_deltas(box, deltas)), [[6, 5, 26, 15]], rtol=1e-6)
    np.testing.assert_allclose(
        array(encode_deltas(box, np.array([[6, 5, 26, 15]], np.float32))), deltas, atol=1e-6
    )


def test_encode_is_the_inverse_of_apply():
    rng = np.random.default_rng(1)
    corner, size = rng.uniform(0, 50, (30, 2)), rng.uniform(1, 30, (30, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    deltas = rng.normal(0, 0.3, (30, 4)).astype(np.float32)
    np.testing.assert_allclose(array(encode_deltas(boxes, apply_deltas(boxes, deltas))), deltas, atol=1e-4)


def test_a_wild_delta_makes_a_large_finite_box():
    """exp(100) is infinite in float32: the box would be NaN, and clipping would keep it."""
    box = np.array([[0.2, 0.2, 0.4, 0.6]], np.float32)
    applied = apply_deltas(box, np.array([[0, 0, 100, 100]], np.float32))
    side = np.array([0.2, 0.4]) * MAX_STRETCH
    np.testing.assert_allclose(
        array(applied)[0],
        [0.3 - side[0] / 2, 0.4 - side[1] / 2, 0.3 + side[0] / 2, 0.4 + side[1] / 2],
        rtol=1e-5,
    )
    window = np.array([0, 0, 1, 1], np.float32)
    np.testing.assert_array_equal(array(clip_boxes(applied, window)), [[0, 0, 1, 1]])


@pytest.mark.fault(table="instances", case="boxes without area", outcome="finite losses, no overlap")
def test_boxes_without_area_have_finite_deltas():
    deltas = array(encode_deltas(np.zeros((1, 4), np.float32), np.zeros((1, 4), np.float32)))
    assert np.isfinite(deltas).all()


def test_clipping_cuts_each_side_and_leaves_boxes_outside_without_area():
    window = np.array([10, 20, 30, 40], np.float32)
    boxes = np.array([[0, 0, 50, 50], [15, 25, 20, 30], [0, 0, 5, 5]], np.float32)
    expected = [[10, 20, 30, 40], [15, 25, 20, 30], [10, 20, 10, 20]]
    np.testing.assert_array_equal(array(clip_boxes(boxes, window)), expected)


def test_overlaps_by_hand():
    a = np.array([[0, 0, 4, 4]], np.float32)
    b = np.array(
        [
            [0, 0, 4, 4],  # the same: 1
            [2, 2, 6, 6],  # 4 of 16 + 16 - 4 = 28
            [0, 0, 2, 4],  # half of it: 8 / 16
            [4, 0, 8, 4],  # touching
            [9, 9, 9, 9],  # without area
        ],
        np.float32,
    )
    np.testing.assert_allclose(array(iou_matrix(a, b)), [[1, 4 / 28, 0.5, 0, 0]], rtol=1e-6)


@pytest.mark.fault(table="instances", case="boxes without area")
def test_two_boxes_without_area_do_not_overlap():
    zeros = np.zeros((1, 4), np.float32)
    np.testing.assert_array_equal(array(iou_matrix(zeros, zeros)), [[0]])


@pytest.mark.parametrize(
    ("box", "expected"), [([0, 0, 0, 0], False), ([0, 0, 0, 1], True), ([-1, 0, 0, 0], True)]
)
def test_rows_of_zeros_are_padding(box, expected):
    assert array(is_real(np.array(box, np.float32))) == expected
