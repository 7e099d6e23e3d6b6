"""Masks of a photo from text to pixels, all at once, against one at a time."""

import numpy as np
import pytest

from fashionseg.data.rle import format_rle, mask_to_runs
from fashionseg.metrics.truth_crops import crop_truths


def text_of(mask: np.ndarray) -> str:
    return format_rle(mask_to_runs(mask))


def test_two_rectangles_by_hand(rectangle):
    boxes, areas, crops = crop_truths(
        [text_of(rectangle(10, 20, 15, 23)), text_of(rectangle(500, 0, 512, 1))]
    )
    assert boxes.tolist() == [[10, 20, 15, 23], [500, 0, 512, 1]]
    assert areas.tolist() == [15, 12]
    assert [crop.shape for crop in crops] == [(3, 5), (1, 12)]
    assert all(crop.all() for crop in crops)


def test_random_masks_lie_where_they_are():
    rng = np.random.default_rng(0)
    masks = []
    for _ in range(20):
        mask = np.zeros((512, 512), bool)
        y1, x1 = rng.integers(0, 500, 2)
        y2, x2 = rng.integers([y1 + 1, x1 + 1], 513)
        mask[y1:y2, x1:x2] = rng.random((y2 - y1, x2 - x1)) < 0.6
        mask[y1, x1] = True
        masks.append(mask)
    boxes, areas, crops = crop_truths([text_of(mask) for mask in masks])
    for mask, (y1, x1, y2, x2), area, crop in zip(masks, boxes.tolist(), areas.tolist(), crops, strict=True):
        pasted = np.zeros((512, 512), bool)
        pasted[y1:y2, x1:x2] = crop.T
        np.testing.assert_array_equal(pasted, mask)
        assert area == mask.sum()
        assert crop.any(axis=0)[[0, -1]].all()
        assert crop.any(axis=1)[[0, -1]].all()


def test_a_run_that_passes_the_bottom_goes_on_at_the_top():
    # Pixels 510 to 513 in column-major order: the last two rows of column 0, the first two of column 1.
    boxes, areas, (crop,) = crop_truths(["511 4"])
    assert (boxes.tolist(), areas.tolist()) == ([[0, 0, 512, 2]], [4])
    assert np.argwhere(crop).tolist() == [[0, 510], [0, 511], [1, 0], [1, 1]]


def test_no_masks():
    boxes, areas, crops = crop_truths([])
    assert (boxes.shape, areas.shape, crops) == ((0, 4), (0,), [])


@pytest.mark.parametrize("text", ["", "1", "1 2 3", "0 4", "5 0", "1 x", "262144 2", "9 2 1 2"])
def test_texts_of_no_mask_are_refused(text):
    with pytest.raises(ValueError, match=r"rles|repeats|string"):
        crop_truths(["1 5", text])
