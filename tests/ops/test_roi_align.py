"""RoIAlign: level, sample points, borders."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from fashionseg.ops.roi_align import multilevel_roi_align, pyramid_levels

IMAGE = (256, 256)  # P2 to P5: 64, 32, 16 and 8 cells a side


def ramps() -> list[np.ndarray]:
    """On each level the channels (row, column, level), so that a pooled value tells where it was taken."""
    features = []
    for level in (2, 3, 4, 5):
        side = 256 // 2**level
        rows, columns = np.mgrid[:side, :side].astype(np.float32)
        features.append(np.stack([rows, columns, np.full_like(rows, level)], axis=-1)[None])
    return features


def pooled(box: list[float], size: int) -> np.ndarray:
    boxes = np.array([[box]], np.float32)
    return ops.convert_to_numpy(multilevel_roi_align(ramps(), boxes, IMAGE, size))[0, 0]


@pytest.mark.parametrize(
    ("side", "level"),
    [
        (224, 4),  # the canonical size
        (112, 3),
        (56, 2),
        (448, 5),
        (160, 4),  # log2(160 / 224) = -0.49: rounds up to the canonical level
        (156, 3),  # -0.52
        (10, 2),  # below the first level
    ],
)
def test_the_level_follows_the_side_in_pixels(side, level):
    norm = side / 256
    boxes = np.array([[0, 0, norm, norm]], np.float32)
    assert ops.convert_to_numpy(pyramid_levels(boxes, IMAGE)).tolist() == [level]


def test_boxes_without_area_take_the_first_level():
    boxes = np.array([[0, 0, 0, 0], [0.5, 0.2, 0.5, 0.9]], np.float32)
    assert ops.convert_to_numpy(pyramid_levels(boxes, IMAGE)).tolist() == [2, 2]


def test_corner_bins_sample_the_corners_of_the_box():
    # A side of 16 / 63 of the image is 65 pixels: level 2, whose cells run from 0 to 63.
    bins = pooled([16 / 63, 8 / 63, 32 / 63, 24 / 63], 5)
    np.testing.assert_allclose(bins[:, 0, 0], [16, 20, 24, 28, 32], rtol=1e-6)
    np.testing.assert_allclose(bins[0, :, 1], [8, 12, 16, 20, 24], rtol=1e-6)
    np.testing.assert_array_equal(bins[..., 2], 2)


def test_samples_between_cells_are_weighted():
    bins = pooled([10.25 / 63, 3.5 / 63, 12.25 / 63, 5.5 / 63], 3)
    np.testing.assert_allclose(bins[:, 1, 0], [10.25, 11.25, 12.25], rtol=1e-5)
    np.testing.assert_allclose(bins[1, :, 1], [3.5, 4.5, 5.5], rtol=1e-5)


def test_samples_outside_the_image_are_zero():
    # Rows -4 and 0 and 4 of level 2; the columns all lie inside.
    bins = pooled([-4 / 63, 0, 4 / 63, 8 / 63], 3)
    np.testing.assert_array_equal(bins[0], 0)
    np.testing.assert_allclose(bins[1:, 0, 2], 2)


def test_the_whole_image_samples_its_last_cell():
    bins = pooled([0, 0, 1, 1], 7)  # level 4: cells 0 to 15
    np.testing.assert_allclose(bins[:, 0, 0], np.linspace(0, 15, 7), rtol=1e-6)
    np.testing.assert_array_equal(bins[..., 2], 4)


def test_boxes_that_are_not_numbers_do_not_crash():
    # A training that diverged must come as far as its loss, where it is noticed.
    assert np.isfinite(pooled([0.1, 0.1, 0.3, 0.3], 7)).all()
    pooled([float("nan")] * 4, 7)
    pooled([0.0, 0.0, float("inf"), 1.0], 7)


def test_images_of_a_batch_do_not_mix():
    features = [np.concatenate([feature, feature + 100]) for feature in ramps()]
    boxes = np.tile(np.array([[[0.1, 0.1, 0.3, 0.3], [0, 0, 0.9, 0.9]]], np.float32), (2, 1, 1))
    first, second = ops.convert_to_numpy(multilevel_roi_align(features, boxes, IMAGE, 7))
    np.testing.assert_allclose(second, first + 100, rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compiled form of TensorFlow")
def test_compiled_matches_eager():
    import tensorflow as tf

    boxes = np.array([[[0.1, 0.1, 0.3, 0.3], [0, 0, 0, 0], [0, 0, 1, 1]]], np.float32)
    eager = multilevel_roi_align(ramps(), boxes, IMAGE, 7)
    compiled = tf.function(lambda b: multilevel_roi_align(ramps(), b, IMAGE, 7))(boxes)
    np.testing.assert_allclose(compiled, eager, rtol=1e-6)
