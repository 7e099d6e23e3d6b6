"""The five losses, worked out by hand."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from keras import ops

from fashionseg.model import losses
from fashionseg.model.label_smoothing import smoothed_targets
from fashionseg.model.layers import find_layer
from fashionseg.training.optimizer import l2_loss


def value(term: losses.LossTerm) -> float:
    return float(ops.convert_to_numpy(term.value))


def test_smooth_l1_is_quadratic_below_one_and_linear_above():
    targets, predictions = np.array([0.0, 0.0, 0.0, 2.0]), np.array([0.5, 1.0, 3.0, -2.0])
    expected = [0.125, 0.5, 2.5, 3.5]
    np.testing.assert_allclose(ops.convert_to_numpy(losses.smooth_l1(targets, predictions)), expected)


def test_rpn_class_loss_is_the_mean_over_anchors_in_use():
    match = np.array([[1, 0, -1]])
    # Object with even odds: log 2. Not used: ignored. Background with odds e : 1: log(1 + 1/e).
    logits = np.array([[[0, 0], [-50, 50], [1, 0]]], np.float32)
    expected = (log(2) + log(1 + exp(-1))) / 2
    assert value(losses.rpn_class_loss(match, logits)) == pytest.approx(expected, rel=1e-6)


def test_rpn_box_loss_is_the_mean_over_positives_and_coordinates():
    match = np.array([[1, -1, 1]])
    targets = np.zeros((1, 3, 4), np.float32)
    deltas = np.array([[[1, 0, 0, 0], [9, 9, 9, 9], [0, 3, 0, 0]]], np.float32)
    assert value(losses.rpn_box_loss(match, targets, deltas)) == pytest.approx((0.5 + 2.5) / 8)


def test_class_loss_ignores_padding():
    classes = np.array([[1, 0]])
    logits = np.array([[[0, 0, 0], [5, 0, 0]]], np.float32)
    real = np.array([[True, False]])
    assert value(losses.class_loss(classes, logits, real)) == pytest.approx(log(3), rel=1e-6)
    counted = value(losses.class_loss(classes, logits, np.ones((1, 2), bool)))
    assert counted == pytest.approx((log(3) + log(1 + 2 * exp(-5))) / 2, rel=1e-5)


def test_smoothing_shares_the_target_within_the_group():
    """Tops: categories 0, 1 and 3; category 2 is alone. A share of 0.2 leaves 0.8, and 0.1 for each other top."""
    expected = [
        [1, 0, 0, 0, 0],  # background
        [0, 0.8, 0.1, 0, 0.1],
        [0, 0.1, 0.8, 0, 0.1],
        [0, 0, 0, 1, 0],
        [0, 0.1, 0.1, 0, 0.8],
    ]
    targets = smoothed_targets(("top", "top", "shoe", "top"), 0.2)
    assert targets.dtype == np.float32
    np.testing.assert_allclose(targets, expected, atol=1e-7)


def test_smoothed_class_loss_is_the_cross_entropy_with_the_shared_target():
    classes = np.array([[1, 0, 2]])
    # Scores 1/4, 1/2, 1/4 for each RoI; the last one is padding.
    logits = np.log(np.array([[[1, 2, 1]] * 3], np.float32))
    counted = np.array([[True, True, False]])
    targets = smoothed_targets(("top", "top"), 0.4)
    # The first: 0.6 log 2 + 0.4 log 4. The second, background: log 4.
    expected = (0.6 * log(2) + 0.4 * log(4) + log(4)) / 2
    assert value(losses.class_loss(classes, logits, counted, targets)) == pytest.approx(expected, rel=1e-6)


def test_the_smoothed_targets_of_no_share_give_the_loss_of_the_classes():
    classes, counted = np.array([[1, 0, 2]]), np.ones((1, 3), bool)
    logits = np.random.default_rng(0).normal(size=(1, 3, 3)).astype(np.float32)
    smoothed = value(losses.class_loss(classes, logits, counted, smoothed_targets(("top", "top"), 0.0)))
    assert smoothed == pytest.approx(value(losses.class_loss(classes, logits, counted)), rel=1e-6)


def test_box_loss_uses_the_deltas_of_the_target_class():
    classes = np.array([[2, 0]])
    deltas = np.zeros((1, 2, 3, 4), np.float32)
    deltas[0, 0, 1] = 100  # another class
    deltas[0, 0, 2] = [0, 0, 2, 0]
    deltas[0, 1] = 100  # a negative
    targets = np.zeros((1, 2, 4), np.float32)
    assert value(losses.box_loss(classes, targets, deltas)) == pytest.approx(1.5 / 4)


@pytest.mark.parametrize("clipped", [False, True])
def test_mask_loss_uses_the_mask_of_the_target_class(clipped):
    classes = np.array([[1, 0]])
    targets = np.zeros((1, 2, 2, 2), np.float32)
    targets[0, 0, 0, 0] = 1
    logits = np.zeros((1, 2, 2, 2, 3), np.float32)
    logits[0, 0, ..., 2] = 50  # another class
    logits[0, 1] = 50  # a negative
    logits[0, 0, 0, 0, 1] = 2  # right
    logits[0, 0, 1, 1, 1] = 2  # wrong
    expected = (log(1 + exp(-2)) + log(1 + exp(2)) + 2 * log(2)) / 4
    if clipped:
        loss = losses.mask_loss_clipped(classes, targets, ops.sigmoid(logits))
    else:
        own = np.take_along_axis(logits, classes[..., None, None, None], axis=4)[..., 0]
        loss = losses.mask_loss(classes, targets, own)
    assert value(loss) == pytest.approx(expected, rel=1e-5)


def test_a_saturated_mask_has_a_finite_loss():
    classes, targets = np.array([[1]]), np.ones((1, 1, 1, 1), np.float32)
    logits = np.full((1, 1, 1, 1, 2), -200, np.float32)
    assert value(losses.mask_loss(classes, targets, logits[..., 1])) == pytest.approx(200)
    clipped = value(losses.mask_loss_clipped(classes, targets, ops.sigmoid(logits)))
    assert clipped == pytest.approx(-log(2e-7), rel=1e-4)


def test_box_and_mask_losses_are_zero_without_positives():
    match, classes = np.array([[-1, 0]]), np.zeros((1, 2), np.int32)
    targets, deltas = np.zeros((1, 2, 4), np.float32), np.ones((1, 2, 4), np.float32)
    assert value(losses.rpn_box_loss(match, targets, deltas)) == 0
    class_deltas = np.ones((1, 2, 3, 4), np.float32)
    assert value(losses.box_loss(classes, targets, class_deltas)) == 0
    masks = np.ones((1, 2, 2, 2), np.float32), np.ones((1, 2, 2, 2), np.float32)
    assert value(losses.mask_loss(classes, *masks)) == 0


def test_l2_loss_is_the_decayed_mean_square_without_gamma_and_beta(make_network):
    network = make_network()
    kernel = network.rpn_head.get_layer("rpn_class_raw").kernel
    kernel.assign(np.full(kernel.shape, 2.0))
    bias = network.rpn_head.get_layer("rpn_class_raw").bias
    bias.assign(np.full(bias.shape, 3.0))
    norm = find_layer(network.backbone, "bn_conv1")
    variables = [kernel, bias, norm.gamma, norm.beta]
    assert float(ops.convert_to_numpy(l2_loss(variables, 0.1))) == pytest.approx(0.1 * (4 + 9))


def test_box_loss_of_a_class_agnostic_head_takes_its_one_box():
    classes = np.array([[2, 0]])
    deltas = np.array([[[[1, 0, 0, 0]], [[9, 9, 9, 9]]]], np.float32)
    assert value(losses.box_loss(classes, np.zeros((1, 2, 4), np.float32), deltas)) == pytest.approx(0.5 / 4)
