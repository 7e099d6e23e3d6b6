"""From classified RoIs to detections."""

from __future__ import annotations

import numpy as np
from keras import ops

from fashionseg.model.select_detections import SelectDetections

WINDOW = np.array([[0, 0, 1, 1]], np.float32)


def detect(rois, scores, deltas=None, windows=WINDOW, max_detections=4) -> np.ndarray:
    """[D, 6]: box, class, score."""
    rois, scores = np.array([rois], np.float32), np.array([scores], np.float32)
    if deltas is None:
        deltas = np.zeros((*scores.shape, 4), np.float32)
    layer = SelectDetections((0.1, 0.1, 0.2, 0.2), 0.3, 0.5, max_detections)
    boxes, classes, found = (ops.convert_to_numpy(x)[0] for x in layer(rois, scores, deltas, windows))
    return np.concatenate([boxes, classes[:, None], found[:, None]], axis=1)


A, B, C = [0.0, 0.0, 0.4, 0.4], [0.0, 0.0, 0.4, 0.36], [0.6, 0.6, 0.9, 0.9]


def test_detections_are_sorted_without_background_and_low_scores():
    found = detect([A, C, C, A], [[0, 0.6, 0.4], [0.1, 0.2, 0.7], [0.8, 0.2, 0], [0.3, 0.28, 0.29]])
    np.testing.assert_allclose(found, [[*C, 2, 0.7], [*A, 1, 0.6], [0] * 6, [0] * 6], rtol=1e-6)


def test_suppression_stays_within_a_class():
    scores = [[0.1, 0.9, 0], [0.2, 0.8, 0]]
    assert detect([A, B], scores)[:, 4].tolist() == [1, 0, 0, 0]
    scores[1] = [0.2, 0, 0.8]
    assert detect([A, B], scores)[:, 4].tolist() == [1, 2, 0, 0]


def test_at_most_max_detections_and_ties_keep_the_order_of_rois():
    rois = [[0, 0, 0.1, 0.1], [0, 0.5, 0.1, 0.6], [0.5, 0, 0.6, 0.1]]
    found = detect(rois, [[0.1, 0.9]] * 3, max_detections=2)
    np.testing.assert_allclose(found[:, :4], rois[:2])


def test_class_deltas_refine_the_box_and_the_window_clips_it():
    deltas = np.zeros((1, 1, 3, 4), np.float32)
    deltas[0, 0, 1] = 99
    deltas[0, 0, 2] = [1, 0, 0, 0]  # times 0.1: a tenth of its height down
    window = np.array([[0, 0, 0.42, 0.3]], np.float32)
    found = detect([A], [[0, 0.1, 0.9]], deltas, window)
    np.testing.assert_allclose(found[0], [0.04, 0, 0.42, 0.3, 2, 0.9], rtol=1e-5)


def test_nothing_found_is_all_zeros():
    assert not detect([A, C], [[0.9, 0.1], [0.8, 0.2]]).any()


def test_padding_rois_give_no_detection():
    found = detect([[0, 0, 0, 0]] * 3, [[1, 0]] * 3)
    assert not found.any()
