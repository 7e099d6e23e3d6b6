"""Small masks pasted into a frame: where they land, pixel by pixel."""

import numpy as np
import pytest

from fashionseg.data.rle import runs_to_mask
from fashionseg.detections.bit_masks import to_runs
from fashionseg.detections.paste import find_taps, interpolate, paste_bits, paste_box_runs, paste_runs

FULL = np.full((28, 28), 255, np.uint8)


def bits_of(mask_probs, box_norm, *thresholds):
    return paste_bits(mask_probs, find_taps(np.float32(box_norm)[None], (512, 512), 28), 0, thresholds)


def pasted(mask_probs, box_pixels, threshold=0.5):
    (bits,) = bits_of(mask_probs, np.float32(box_pixels) / 512, threshold)
    return runs_to_mask(to_runs(bits), (512, 512))


def test_a_certain_mask_fills_its_box(rectangle):
    np.testing.assert_array_equal(pasted(FULL, [10, 20, 110, 220]), rectangle(10, 20, 110, 220))


def test_a_pixel_is_in_the_box_when_its_centre_is(rectangle):
    # edges 10.6 to 20.4: the centres 10.5 and 20.5 lie outside, 11.5 to 19.5 inside
    np.testing.assert_array_equal(pasted(FULL, [10.6, 10.4, 20.4, 20.6]), rectangle(11, 10, 20, 21))


def test_the_grid_is_not_shifted():
    # Left half of the grid certain, right half not; box of 280 pixels, so the edge lies at 140 of it.
    halves = np.zeros((28, 28), np.uint8)
    halves[:, :14] = 255
    mask = pasted(halves, [0, 100, 280, 380])
    assert mask[:280, 100:240].all()
    assert not mask[:280, 240:].any()


def test_rows_and_columns_are_not_exchanged():
    top = np.zeros((28, 28), np.uint8)
    top[:14] = 255
    mask = pasted(top, [0, 0, 56, 280])
    assert mask[:28, :280].all()
    assert not mask[28:].any()


def test_values_between_cells_by_hand():
    # A 2 x 2 grid in a box of 4 x 4, learned from a mini-mask of 4 x 4: the mini-mask's cells are the pixels, and the
    # grid's two cells stand for the centres of its first and last one, with thirds between them.
    grid = np.array([[0, 100], [0, 100]], np.uint8)
    taps = find_taps(np.array([[0, 0, 1, 1]]), (4, 4), 2)
    values = interpolate(grid, taps, 0)
    assert taps.first.tolist() == [[0], [0]]
    np.testing.assert_allclose(values[:, 0], [0, 100 / 3, 200 / 3, 100], rtol=1e-6)
    np.testing.assert_allclose(values[:, 3], [0, 100 / 3, 200 / 3, 100], rtol=1e-6)


def test_a_higher_threshold_gives_a_mask_inside_the_lower():
    rng = np.random.default_rng(3)
    probs = rng.integers(0, 256, (28, 28)).astype(np.uint8)
    low, high = (
        runs_to_mask(to_runs(mask), (512, 512)) for mask in bits_of(probs, [0.1, 0.2, 0.8, 0.7], 0.4, 0.6)
    )
    assert (high & ~low).sum() == 0
    assert low.sum() > high.sum() > 0


def test_a_pixel_at_the_threshold_is_inside(rectangle):
    assert pasted(np.full((28, 28), 51, np.uint8), [0, 0, 10, 10], threshold=0.2).sum() == 100
    assert pasted(np.full((28, 28), 50, np.uint8), [0, 0, 10, 10], threshold=0.2).sum() == 0


@pytest.mark.parametrize(
    "box", [[10, 10, 10, 50], [10.6, 0, 11.4, 50], [600, 600, 700, 700], [-9, -9, -1, -1]]
)
def test_a_box_without_a_pixel_gives_an_empty_mask(box):
    assert not pasted(FULL, box).any()


def test_boxes_pasted_together_equal_boxes_pasted_alone():
    rng = np.random.default_rng(5)
    probs = rng.integers(0, 256, (4, 28, 28)).astype(np.uint8)
    # One of them holds no pixel's centre, one ends beyond the frame.
    boxes = np.float32([[0.1, 0.2, 0.8, 0.7], [0.5, 0.5, 0.5, 0.9], [0.9, -0.1, 1.2, 0.4], [0, 0, 1, 1]])
    taps = find_taps(boxes, (40, 60), 28)
    for row in range(len(boxes)):
        together = interpolate(probs[row], taps, row).copy()
        single = find_taps(boxes[row][None], (40, 60), 28)
        assert taps.first[:, row].tolist() == single.first[:, 0].tolist()
        np.testing.assert_array_equal(together, interpolate(probs[row], single, 0))
    assert taps.count.T.tolist() == [[28, 30], [0, 24], [4, 24], [40, 60]]


def test_a_box_beyond_the_frame_is_clipped(rectangle):
    np.testing.assert_array_equal(pasted(FULL, [500, -20, 530, 9]), rectangle(500, 0, 512, 9))


def test_runs_of_a_photo_of_any_size_are_the_same_mask():
    rng = np.random.default_rng(4)
    probs = rng.integers(0, 256, (28, 28)).astype(np.uint8)
    box = np.float32([0.05, 0.3, 0.9, 0.75])
    np.testing.assert_array_equal(
        paste_runs(probs, box, (512, 512), 0.5), to_runs(bits_of(probs, box, 0.5)[0])
    )
    runs = paste_runs(FULL, np.float32([0.25, 0.5, 0.5, 1.0]), (40, 60), 0.5)
    expected = np.zeros((40, 60), bool)
    expected[10:20, 30:60] = True
    np.testing.assert_array_equal(runs_to_mask(runs, (40, 60)), expected)


@pytest.mark.parametrize(
    "box", [[0, 0.1, 1, 0.6], [0, 0, 1, 1], [0.2, 0, 1, 1], [0, 0.3, 0.7, 1], [0.5, 0.5, 0.5, 0.9]]
)
@pytest.mark.parametrize("fill", [255, 0, None])
def test_runs_equal_those_of_the_bits(box, fill):
    """Also where runs touch from one column to the next, as in a mask as high as the frame."""
    rng = np.random.default_rng(6)
    probs = (
        np.full((28, 28), fill, np.uint8) if fill is not None else np.uint8(rng.integers(0, 256, (28, 28)))
    )
    taps = find_taps(np.float32(box)[None], (512, 512), 28)
    found = paste_box_runs(probs, taps, 0, 512, 0.5)
    np.testing.assert_array_equal(found, to_runs(bits_of(probs, box, 0.5)[0]))
    assert found.dtype == np.int32
