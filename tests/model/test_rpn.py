"""The RPN head at a few anchors: outputs and gradients equal to those of the head on whole maps."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from tools.parity.backend import gradients

from fashionseg.model.losses import rpn_box_loss, rpn_class_loss
from fashionseg.model.rpn import RPNHead
from fashionseg.ops.gather import take_rows

CHANNELS = 5


def make_pyramid(sides: tuple[int, ...] = (12, 6, 3, 2, 1)) -> list[keras.Variable]:
    rng = np.random.default_rng(3)
    return [keras.Variable(rng.normal(size=(2, side, side, CHANNELS)).astype(np.float32)) for side in sides]


def dense(head: keras.Model, pyramid: list) -> tuple:
    logits, deltas = zip(*(head(level) for level in pyramid), strict=True)
    return ops.concatenate(logits, axis=1), ops.concatenate(deltas, axis=1)


@pytest.mark.parametrize("num_convs", [1, 2])
@pytest.mark.parametrize("anchor_stride", [1, 2])
@pytest.mark.parametrize("sides", [(12, 6, 3, 2, 1), (11, 7, 5, 3, 2)])
def test_outputs_at_anchors_match_whole_maps(anchor_stride, sides, num_convs):
    keras.utils.set_random_seed(0)
    head = RPNHead(CHANNELS, 7, 3, anchor_stride, num_convs)
    pyramid = [level.value for level in make_pyramid(sides)]
    logits, deltas = dense(head, pyramid)
    everywhere = np.tile(np.arange(logits.shape[1], dtype=np.int32), (2, 1))
    found_logits, found_deltas = head.at_anchors(pyramid, everywhere)
    np.testing.assert_allclose(ops.convert_to_numpy(found_logits), ops.convert_to_numpy(logits), atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(found_deltas), ops.convert_to_numpy(deltas), atol=1e-6)


@pytest.mark.parametrize("num_convs", [1, 2])
def test_losses_and_gradients_at_anchors_match_whole_maps(num_convs):
    """Gradients of all arrays of the head and of all five levels; anchors differ by image, some share a cell."""
    keras.utils.set_random_seed(0)
    head = RPNHead(CHANNELS, 7, 3, 1, num_convs)
    pyramid = make_pyramid()
    num_anchors = 3 * (144 + 36 + 9 + 4 + 1)
    rng = np.random.default_rng(4)
    match = np.zeros((2, num_anchors), np.int32)
    match[0, [0, 1, 2, 40, 431, 440, num_anchors - 1]] = [1, -1, 1, -1, 1, 1, 1]
    match[1, [5, 300, 500, 550, 570]] = [-1, 1, -1, 1, -1]  # each level has some
    targets = rng.normal(size=(2, num_anchors, 4)).astype(np.float32)
    variables = [*head.trainable_variables, *pyramid]

    def losses(match: np.ndarray, targets: np.ndarray, outputs: tuple) -> dict:
        return {
            "class": rpn_class_loss(match, outputs[0]).value,
            "bbox": rpn_box_loss(match, targets, outputs[1]).value,
        }

    def sampled() -> dict:
        rows = ops.top_k(ops.abs(ops.convert_to_tensor(match)), k=8)[1]
        outputs = head.at_anchors([level.value for level in pyramid], rows)
        return losses(take_rows(match, rows), take_rows(targets, rows), outputs)

    expected, wanted = gradients(
        lambda: losses(match, targets, dense(head, [level.value for level in pyramid])), variables
    )
    value, found = gradients(sampled, variables)
    for name in expected:
        assert float(value[name]) == pytest.approx(float(expected[name]), rel=1e-5)
    for ours, theirs in zip(found, wanted, strict=True):
        theirs = ops.convert_to_numpy(ops.convert_to_tensor(theirs))
        assert np.abs(theirs).max() > 0
        np.testing.assert_allclose(
            ops.convert_to_numpy(ops.convert_to_tensor(ours)), theirs, rtol=1e-4, atol=1e-6
        )
