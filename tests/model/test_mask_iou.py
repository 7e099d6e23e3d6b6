"""The mask-IoU head: targets worked out by hand, gradient, scores at inference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras import ops
from tools.parity.backend import gradients

from fashionseg.model.layers import find_layer
from fashionseg.model.losses import mask_iou_loss
from fashionseg.model.mask_iou import mask_areas_of_rois, mask_iou_targets

HEAD = {"model.mask_iou_head.channels": 8}


def test_iou_counts_the_instance_outside_the_roi() -> None:
    predicted, inside = np.full((1, 3, 4, 4), -1.0, np.float32), np.zeros((1, 3, 4, 4), np.float32)
    predicted[0, :2, :2] = 1.0  # the upper half: 8 of 16 cells
    inside[0, :2, 1:3] = 1.0  # the middle half: 8 cells, 4 of them shared
    areas = np.array(
        [[0.5, 1.0, 0.0]], np.float32
    )  # of the instance: as large as its part inside; twice that; none
    found = ops.convert_to_numpy(mask_iou_targets(predicted, inside, areas))
    # 4 / (8 + 8 - 4); 4 / (8 + 16 - 4); nothing predicted and no instance.
    np.testing.assert_allclose(found, [[1 / 3, 1 / 5, 0]], rtol=1e-6)


def test_area_of_an_instance_is_a_fraction_of_its_roi() -> None:
    rois = np.array([[[0, 0, 0.5, 0.5], [0, 0, 1, 1], [0, 0, 0, 0]]], np.float32)
    boxes = np.array([[[0, 0, 0.2, 0.5], [0.5, 0, 1, 1]]], np.float32)
    masks = np.ones((1, 2, 56, 56), np.uint8)
    masks[0, 1, :28] = 0  # half filled
    found = ops.convert_to_numpy(mask_areas_of_rois(rois, np.array([[0, 1, 0]], np.int32), boxes, masks))
    np.testing.assert_allclose(found[0, :2], [0.1 / 0.25, 0.25], rtol=1e-6)
    assert np.isfinite(found).all()


def test_loss_is_the_mean_squared_error_of_the_positives() -> None:
    target, found = np.array([[[0.5, 0.9, 0.0]], [[0.7, 0.8, 9.0]]], np.float32)
    term = mask_iou_loss(np.array([[2, 1, 0]]), target, found)
    assert float(term.value) == pytest.approx((0.04 + 0.01) / 2, rel=1e-6)


@pytest.mark.slow
def test_the_head_learns_without_changing_the_mask_head(
    make_network: Callable[..., Any], batch: dict[str, np.ndarray]
) -> None:
    network = make_network(HEAD)
    assert network.loss_names[-2:] == ("mask_loss", "mask_iou_loss")
    weights = [*network.mask_head.trainable_variables, *network.mask_iou_head.trainable_variables]
    losses, found = gradients(
        lambda: {"mask_iou_loss": network.loss_terms(batch, True)["mask_iou_loss"].value}, weights
    )
    assert float(losses["mask_iou_loss"]) > 0
    moved = [gradient is not None and np.any(ops.convert_to_numpy(gradient)) for gradient in found]
    count = len(network.mask_head.trainable_variables)
    assert not any(moved[:count])  # the mask is an input, not something to be made easier to judge
    assert any(moved[count:])


@pytest.mark.slow
def test_scores_are_multiplied_with_the_predicted_iou_and_fall(
    make_network: Callable[..., Any], batch: dict[str, np.ndarray]
) -> None:
    changes = {"inference.score_threshold": 0.0, "model.batch_norm.heads": False}
    network = make_network(HEAD | changes)
    layer = find_layer(network.mask_iou_head, "mask_iou")
    layer.kernel.assign(ops.zeros_like(layer.kernel))
    inputs = {"images": batch["images"], "windows": np.array([[0, 0, 64, 64]] * 2, np.float32)}
    found = []
    for bias in (np.full(6, 1.0), np.arange(6) / 5, np.full(6, 7.0)):
        layer.bias.assign(bias)
        found.append({key: ops.convert_to_numpy(value) for key, value in network(inputs).items()})
    plain, weighted, cut = found
    for photo in range(2):
        by_class = sorted(
            (score * (number / 5), number)
            for number, score in zip(plain["classes"][photo], plain["scores"][photo], strict=True)
        )[::-1]
        np.testing.assert_allclose(weighted["scores"][photo], [score for score, _ in by_class], atol=1e-6)
        assert weighted["classes"][photo].tolist() == [number for _, number in by_class]
    np.testing.assert_array_equal(cut["scores"], plain["scores"])  # an IoU is at most 1
