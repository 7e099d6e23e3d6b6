"""Greedy suppression: the kernel and the parallel form give the same."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from fashionseg.ops.nms import first_kept, greedy_keep, non_max_suppression

# Side 10. The second overlaps the first by 8 / 12 = 0.67, the third the second likewise but the first by 6 / 14.
CHAIN = np.array([[0, 0, 10, 10], [0, 2, 10, 12], [0, 4, 10, 14], [0, 30, 10, 40]], np.float32)
SCORES = np.array([0.9, 0.8, 0.7, 0.6], np.float32)


def kept(boxes: np.ndarray, threshold: float, max_outputs: int) -> list[int]:
    scores = np.linspace(0.9, 0.1, len(boxes)).astype(np.float32)
    indices, valid = non_max_suppression(boxes[None], scores[None], threshold, max_outputs)
    indices, valid = ops.convert_to_numpy(indices)[0], ops.convert_to_numpy(valid)[0]
    assert indices.shape == (max_outputs,)
    assert (indices[~valid] == 0).all()
    return indices[valid].tolist()


def test_a_suppressed_box_suppresses_no_other():
    # 1 goes because of 0; 2 overlaps only 1 too much, and stays.
    assert kept(CHAIN, 0.5, 4) == [0, 2, 3]


def test_at_most_so_many_are_kept():
    assert kept(CHAIN, 0.5, 2) == [0, 2]


def test_overlap_at_the_threshold_does_not_suppress():
    # The second is the lower half of the first: IoU exactly 0.5.
    boxes = np.array([[0, 0, 4, 4], [2, 0, 4, 4]], np.float32)
    assert kept(boxes, 0.5, 2) == [0, 1]


def test_outputs_beyond_the_kept_boxes_are_padding():
    assert kept(CHAIN, 0.5, 7) == [0, 2, 3]


def greedy_by_hand(boxes: np.ndarray, threshold: float) -> list[int]:
    chosen: list[int] = []
    for i, (y1, x1, y2, x2) in enumerate(boxes):
        for j in chosen:
            height = min(y2, boxes[j, 2]) - max(y1, boxes[j, 0])
            width = min(x2, boxes[j, 3]) - max(x1, boxes[j, 1])
            inside = max(height, 0) * max(width, 0)
            areas = (y2 - y1) * (x2 - x1) + (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
            if inside / (areas - inside) > threshold:
                break
        else:
            chosen.append(i)
    return chosen


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7])
def test_both_implementations_match_a_loop_over_boxes(threshold):
    rng = np.random.default_rng(3)
    corner, size = rng.uniform(0, 60, (200, 2)), rng.uniform(5, 40, (200, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    expected = greedy_by_hand(boxes, threshold)
    assert kept(boxes, threshold, 200) == expected
    keep = ops.convert_to_numpy(greedy_keep(boxes[None], threshold))[0]
    assert np.flatnonzero(keep).tolist() == expected


@pytest.mark.parametrize("tile", [16, 47, 48])
def test_tiles_change_nothing(tile):
    rng = np.random.default_rng(5)
    corner, size = rng.uniform(0, 40, (2, 48, 2)), rng.uniform(5, 40, (2, 48, 2))
    boxes = np.concatenate([corner, corner + size], axis=2).astype(np.float32)
    valid, groups = rng.uniform(size=(2, 48)) < 0.8, rng.integers(0, 3, (2, 48))
    for its_valid, its_groups in ((None, None), (valid, groups)):
        whole, tiled = (greedy_keep(boxes, 0.3, its_valid, its_groups, side) for side in (1000, tile))
        whole, tiled = ops.convert_to_numpy(whole), ops.convert_to_numpy(tiled)
        assert np.array_equal(tiled, whole)
        assert 0 < whole.sum() < 96  # some are kept, some suppressed


def test_a_box_suppressed_in_one_tile_suppresses_none_in_the_next():
    # As in CHAIN: 0 suppresses 1, so that 2 stays although 1 and 2 lie in different tiles.
    assert ops.convert_to_numpy(greedy_keep(CHAIN[None], 0.5, tile=2))[0].tolist() == [
        True,
        False,
        True,
        True,
    ]


def test_images_of_a_batch_do_not_interact():
    boxes = np.stack([CHAIN, CHAIN[::-1]])
    scores = np.stack([SCORES, SCORES])
    indices, valid = non_max_suppression(boxes, scores, 0.5, 4)
    indices, valid = ops.convert_to_numpy(indices), ops.convert_to_numpy(valid)
    assert indices[0][valid[0]].tolist() == [0, 2, 3]
    assert indices[1][valid[1]].tolist() == [0, 1, 3]


def test_groups_suppress_only_within_themselves_and_invalid_rows_not_at_all():
    groups = np.array([[1, 2, 1, 1]])
    keep = greedy_keep(CHAIN[None], 0.4, groups=groups)
    # 0 suppresses 2 (6 / 14 = 0.43, the same group) but not 1.
    assert ops.convert_to_numpy(keep)[0].tolist() == [True, True, False, True]
    valid = np.array([[False, True, True, True]])
    keep = greedy_keep(CHAIN[None], 0.4, valid, groups)
    assert ops.convert_to_numpy(keep)[0].tolist() == [False, True, True, True]


def test_first_kept_of_none():
    indices, valid = first_kept(np.zeros((1, 3), bool), 5)
    assert ops.convert_to_numpy(indices).tolist() == [[0] * 5]
    assert not ops.convert_to_numpy(valid).any()
