"""Packed masks against plain arrays."""

import numpy as np
import pytest

from fashionseg.data.rle import mask_to_runs
from fashionseg.detections.bit_masks import from_columns, from_runs, intersection, minus, to_runs


def blobs(seed: int) -> np.ndarray:
    """A random mask that fills a random part of the frame."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((512, 512), bool)
    y1, x1 = rng.integers(0, 400, 2)
    y2, x2 = rng.integers([y1 + 1, x1 + 1], 513)
    mask[y1:y2, x1:x2] = rng.random((y2 - y1, x2 - x1)) < 0.6
    return mask


def test_intersection_of_two_rectangles_by_hand(bits):
    # rows 50-99 and columns 60-99 lie in both: 50 x 40
    assert intersection(bits(0, 0, 100, 100), bits(50, 60, 200, 200)) == 2000


def test_adjacent_masks_share_no_pixel(bits):
    assert intersection(bits(0, 0, 512, 256), bits(0, 256, 512, 512)) == 0


@pytest.mark.parametrize("seed", range(8))
def test_random_masks_agree_with_arrays(seed):
    a, b = blobs(seed), blobs(seed + 100)
    packed_a, packed_b = from_runs(mask_to_runs(a)), from_runs(mask_to_runs(b))
    assert packed_a.area == a.sum()
    assert intersection(packed_a, packed_b) == (a & b).sum()
    np.testing.assert_array_equal(to_runs(minus(packed_a, [packed_b])), mask_to_runs(a & ~b))


@pytest.mark.parametrize("seed", range(4))
def test_runs_round_trip(seed):
    runs = mask_to_runs(blobs(seed))
    np.testing.assert_array_equal(to_runs(from_runs(runs)), runs)


def test_whole_frame_and_corners(rectangle):
    for box in ((0, 0, 512, 512), (0, 0, 1, 1), (511, 511, 512, 512), (0, 511, 512, 512)):
        runs = mask_to_runs(rectangle(*box))
        np.testing.assert_array_equal(to_runs(from_runs(runs)), runs)


def test_empty_mask():
    empty = from_runs(np.zeros((0, 2), np.int32))
    assert empty.area == 0
    assert len(to_runs(empty)) == 0
    assert intersection(empty, from_columns(np.ones((512, 512), bool), 0)) == 0


def test_subtraction_does_not_change_its_arguments(bits):
    mask, other = bits(0, 0, 10, 10), bits(0, 0, 10, 5)
    assert minus(mask, [other]).area == 50
    assert (mask.area, other.area) == (100, 50)
    assert from_columns(np.unpackbits(mask.words.view(np.uint8), axis=1).astype(bool), 0).area == 100
