"""Which ground truth a candidate belongs to, and which candidates stay."""

from __future__ import annotations

import numpy as np
from keras import ops

from fashionseg.ops.matching import best_match, is_best_of_some, touches_crowd
from fashionseg.ops.sampling import first_in_order, limit

# Four candidates, three instances; the last instance is padding in some tests.
IOU = np.array([[[0.6, 0.1, 0.9], [0.2, 0.2, 0.0], [0.0, 0.3, 0.0], [0.6, 0.0, 0.0]]], np.float32)


def array(tensor: object) -> np.ndarray:
    return ops.convert_to_numpy(tensor)


def test_best_match_ignores_padding_and_takes_the_first_of_ties():
    best, index = best_match(IOU, np.array([[True, True, False]]))
    np.testing.assert_allclose(array(best), [[0.6, 0.2, 0.3, 0.6]])
    assert array(index).tolist() == [[0, 0, 1, 0]]


def test_without_instances_every_overlap_is_zero():
    best, _ = best_match(IOU, np.zeros((1, 3), bool))
    np.testing.assert_array_equal(array(best), np.zeros((1, 4)))


def test_all_tied_candidates_are_best_and_overlap_zero_is_none():
    best = is_best_of_some(IOU, np.array([[True, True, False]]))
    assert array(best).tolist() == [[True, False, True, True]]
    no_overlap = np.zeros((1, 4, 1), np.float32)
    assert not array(is_best_of_some(no_overlap, np.array([[True]]))).any()


def test_crowds_are_touched_from_a_thousandth():
    iou = np.array([[[0.0009], [0.001]]], np.float32)
    assert array(touches_crowd(iou, np.array([[True]]))).tolist() == [[False, True]]
    assert not array(touches_crowd(iou, np.array([[False]]))).any()


def test_limit_keeps_the_candidates_of_highest_priority():
    candidates = np.array([[True, False, True, True, True]])
    priorities = np.array([[0.1, 0.9, 0.5, 0.3, 0.7]], np.float32)
    assert array(limit(candidates, priorities, 2)).tolist() == [[False, False, True, False, True]]


def test_limit_of_fewer_candidates_keeps_them_all_and_no_others():
    candidates = np.array([[False, True, False, False]])
    priorities = np.array([[0.9, 0.0, 0.5, 0.3]], np.float32)
    assert array(limit(candidates, priorities, 3)).tolist() == candidates.tolist()
    assert array(limit(candidates, priorities, 9)).tolist() == candidates.tolist()
    assert not array(limit(candidates, priorities, 0)).any()


def test_first_in_order_keeps_the_first_ones():
    candidates = np.array([[False, True, True, True]])
    kept = limit(candidates, first_in_order(1, 4), 2)
    assert array(kept).tolist() == [[False, True, True, False]]
