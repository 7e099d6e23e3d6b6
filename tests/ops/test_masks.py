"""Mini-masks seen through a RoI."""

from __future__ import annotations

import numpy as np
from keras import ops

from fashionseg.ops.masks import crop_masks, relative_boxes


def array(tensor: object) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def test_the_whole_mask_at_its_own_size_is_itself():
    mask = np.random.default_rng(0).integers(0, 2, (1, 6, 6)).astype(np.float32)
    whole = np.array([[0, 0, 1, 1]], np.float32)
    np.testing.assert_allclose(array(crop_masks(mask, whole, 6)), mask, atol=1e-6)


def test_samples_by_hand():
    # Columns 0 0 1 1 of four; samples at 0, 1.5 and 3: 0, half of each neighbour, 1.
    mask = np.tile(np.array([0, 0, 1, 1], np.float32), (4, 1))[None]
    crop = array(crop_masks(mask, np.array([[0, 0, 1, 1]], np.float32), 3))[0]
    np.testing.assert_allclose(crop, [[0, 0.5, 1]] * 3, atol=1e-6)


def test_outside_the_mask_is_zero():
    mask = np.ones((1, 5, 5), np.float32)
    # Rows at -4, 0 and 4 of pixels 0 to 4.
    crop = array(crop_masks(mask, np.array([[-1, 0, 1, 1]], np.float32), 3))[0]
    np.testing.assert_allclose(crop, [[0, 0, 0], [1, 1, 1], [1, 1, 1]], atol=1e-6)


def test_a_box_that_equals_the_mask_keeps_its_last_row_and_column():
    # 27 * (55 / 27) is more than 55 in float32, so that without slack the last samples lie outside.
    mask, whole = np.ones((1, 56, 56), np.float32), np.array([[0, 0, 1, 1]], np.float32)
    np.testing.assert_allclose(array(crop_masks(mask, whole, 28)), np.ones((1, 28, 28)), atol=1e-6)
    strict = array(crop_masks(mask, whole, 28, edge_slack=0.0))[0]
    np.testing.assert_array_equal(strict[-1], 0)
    np.testing.assert_array_equal(strict[:, -1], 0)


def test_boxes_from_inside_a_frame():
    frame = np.array([[0.2, 0.4, 0.6, 0.8]], np.float32)
    box = np.array([[0.3, 0.4, 0.6, 1.0]], np.float32)
    np.testing.assert_allclose(array(relative_boxes(box, frame)), [[0.25, 0, 1, 1.5]], rtol=1e-5)
    np.testing.assert_allclose(array(relative_boxes(frame, frame)), [[0, 0, 1, 1]], rtol=1e-6)


def test_frames_without_area_give_finite_values():
    zeros = np.zeros((1, 4), np.float32)
    assert np.isfinite(array(relative_boxes(np.array([[0.1, 0.1, 0.2, 0.2]], np.float32), zeros))).all()
