"""Cascade Mask R-CNN: boxes refined from head to head, targets of each head, weights."""

from __future__ import annotations

from collections.abc import Callable
from math import log
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from tools.parity.backend import gradients

from fashionseg.errors import UserError
from fashionseg.model.build import build_cascade_mask_rcnn
from fashionseg.model.cascade_mask_rcnn import CascadeMaskRCNN
from fashionseg.model.folder import load_network, save_network
from fashionseg.model.layers import find_layer
from fashionseg.model.weights import save_matterport
from small_params import make_small_params

CASCADE = {"model.architecture": "cascade_mask_rcnn"}
CATEGORIES = 5
WHOLE = np.array([[0, 0, 1, 1]], np.float32)

pytestmark = pytest.mark.slow


def make_cascade(changes: dict[str, Any] | None = None, seed: int = 0) -> CascadeMaskRCNN:
    keras.utils.set_random_seed(seed)
    params = make_small_params({**CASCADE, **(changes or {})})
    return build_cascade_mask_rcnn(params.model, CATEGORIES, params.inference, params.sampling)


def set_constant(network: CascadeMaskRCNN, place: int, deltas: list[float], logits: list[float]) -> None:
    """Makes a head answer the same for every RoI; `deltas` before the division by the head's `box_std`."""
    head = (network.box_head, *network.further_heads)[place]
    std = [[0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]][place]
    for name, bias in (("mrcnn_bbox_fc", np.array(deltas) / std), ("mrcnn_class_logits", np.array(logits))):
        layer = find_layer(head, name)
        layer.kernel.assign(ops.zeros_like(layer.kernel))
        layer.bias.assign(bias)


@pytest.fixture
def constant_heads() -> CascadeMaskRCNN:
    """The first head moves a box down by a tenth of its height, the second doubles its width, the third does nothing.

    Scores of the second class are 1/2, 1/4 and 3/4: odds of e^0 : e^0, e^-log3 and e^log3.
    """
    network = make_cascade()
    never = [-50.0] * 4
    set_constant(network, 0, [0.1, 0, 0, 0], [0, 0, *never])
    set_constant(network, 1, [0, 0, 0, log(2)], [0, -log(3), *never])
    set_constant(network, 2, [0, 0, 0, 0], [0, log(3), *never])
    return network


def test_boxes_are_refined_from_head_to_head_and_scores_averaged(
    constant_heads: CascadeMaskRCNN, batch: dict[str, np.ndarray]
) -> None:
    pyramid = constant_heads.pyramid(batch["images"][:1])
    proposals = np.array([[[0.2, 0.4, 0.6, 0.6], [0, 0, 0, 0], [0.4, 0.8, 0.8, 1.0]]], np.float32)
    rois, scores, deltas = constant_heads.score(pyramid, proposals, WHOLE)
    # Down by 0.1 of 0.4; then twice as wide about the same centre, cut at the window; padding stays padding.
    expected = [[0.24, 0.3, 0.64, 0.7], [0, 0, 0, 0], [0.44, 0.7, 0.84, 1.0]]
    np.testing.assert_allclose(ops.convert_to_numpy(rois)[0], expected, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(scores)[0, 0, :2], [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(deltas), 0, atol=1e-6)
    assert deltas.shape == (1, 3, 1, 4)


def test_the_last_deltas_refine_with_the_last_divisor(
    constant_heads: CascadeMaskRCNN, batch: dict[str, np.ndarray]
) -> None:
    still = [0.0, 0.0, 0.0, 0.0]
    never = [-50.0] * 4
    set_constant(constant_heads, 0, still, [0, 0, *never])
    set_constant(constant_heads, 1, still, [0, -log(3), *never])
    set_constant(constant_heads, 2, [0, 0.25, 0, 0], [0, log(15), *never])
    rois = np.array([[[0.2, 0.3, 0.6, 0.7]]], np.float32)
    found = constant_heads.score(constant_heads.pyramid(batch["images"][:1]), rois, WHOLE)
    boxes, classes, scores = constant_heads.select_detections(*found, WHOLE)
    np.testing.assert_allclose(ops.convert_to_numpy(boxes)[0, 0], [0.2, 0.4, 0.6, 0.8], atol=1e-6)
    assert int(classes[0, 0]) == 1
    assert float(scores[0, 0]) == pytest.approx((1 / 2 + 1 / 4 + 15 / 16) / 3)


def test_each_head_samples_at_its_own_iou_with_its_own_divisor() -> None:
    network = make_cascade()
    # 13 of 20 rows of a box: IoU 0.65, positive for the second head and background for the third.
    boxes = np.array([[[0, 0, 20, 20]]], np.float32)
    given = {
        "gt_classes": np.array([[3]], np.int32),
        "gt_boxes": boxes,
        "gt_masks": np.ones((1, 1, 56, 56), np.uint8),
        "sampling_seeds": np.zeros(1, np.uint32),
    }
    proposals = np.array([[[0, 0, 12 / 63, 19 / 63]]], np.float32)  # rows 0 to 12, in the normalised frame
    assert network._samplers is not None
    found = [network.sample_rois(sampler, proposals, given, 2) for sampler in network._samplers]
    for targets, classes, std in zip(found, ({3}, {0}), ((0.05, 0.1), (0.033, 0.067)), strict=True):
        rois, of_rois = (ops.convert_to_numpy(x)[0] for x in (targets.rois_norm, targets.classes))
        (place,) = np.flatnonzero(np.isclose(rois[:, 2], 12 / 63) & rois.any(axis=1))
        assert {int(of_rois[place])} == classes
        if classes == {3}:
            # In the normalised frame 12 high, and 19 after it: the centre moves by 3.5 of 12.
            expected = [3.5 / 12 / std[0], 0, log(19 / 12) / std[1], 0]
            np.testing.assert_allclose(ops.convert_to_numpy(targets.deltas)[0, place], expected, atol=1e-4)


def test_losses_of_all_heads_train_their_own_weights_alone(batch: dict[str, np.ndarray]) -> None:
    network = make_cascade()
    assert network.loss_names == (
        "rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss", "class_2_loss", "box_2_loss", "class_3_loss",
        "box_3_loss", "mask_loss",
    )  # fmt: skip
    assert network.loss_factors == {
        "class_2_loss": 0.5, "box_2_loss": 0.5, "class_3_loss": 0.25, "box_3_loss": 0.25,
    }  # fmt: skip
    assert tuple(network.loss_terms(batch, True)) == network.loss_names
    heads = [network.box_head, *network.further_heads]
    weights = [weight for head in heads for weight in head.trainable_variables]
    for place, number in enumerate(("", "2_", "3_")):
        names = f"class_{number}loss", f"box_{number}loss"
        _, found = gradients(
            lambda names=names: {name: network.loss_terms(batch, True)[name].value for name in names}, weights
        )
        trained = {
            head.name
            for head in heads
            for weight, gradient in zip(weights, found, strict=True)
            if gradient is not None
            and np.any(ops.convert_to_numpy(gradient))
            and any(weight is own for own in head.trainable_variables)
        }
        assert trained == {heads[place].name}  # the boxes handed on carry no gradient


def test_batch_without_instances_has_no_box_losses(batch: dict[str, np.ndarray]) -> None:
    batch["gt_classes"][:] = 0
    batch["gt_boxes"][:] = 0
    terms = make_cascade().loss_terms(batch, True)
    for name, term in terms.items():
        assert np.isfinite(float(term.value))
        if name.startswith(("box", "mask")):
            assert float(term.value) == 0


def test_a_cascade_goes_through_a_model_folder(tmp_path: Path, batch: dict[str, np.ndarray]) -> None:
    params = make_small_params({**CASCADE, "inference.score_threshold": 0.0})
    network = make_cascade({"inference.score_threshold": 0.0})
    save_network(network, params.model, tuple("abcde"), tmp_path)
    loaded = load_network(tmp_path, params.inference).network
    inputs = {"images": batch["images"], "windows": np.array([[0, 0, 64, 64]] * 2, np.float32)}
    for name, values in network.predict_on_batch(inputs).items():
        np.testing.assert_array_equal(loaded.predict_on_batch(inputs)[name], values)


def test_matterport_weights_start_all_box_heads_and_are_never_written(
    make_network: Callable[..., Any], tmp_path: Path
) -> None:
    resnet = {"model.backbone.name": "resnet50"}
    plain, cascade = make_network(resnet, seed=1), make_cascade(resnet, seed=2)
    save_matterport(plain, tmp_path / "weights.h5")
    report = cascade.load_pretrained(tmp_path / "weights.h5")
    assert report.endswith("left at initial values: mrcnn_bbox_fc; box heads 2 and 3 are copies of the first")
    for head in (cascade.box_head, *cascade.further_heads):
        for name in ("mrcnn_class_conv1", "mrcnn_class_logits"):
            kernels = (find_layer(part, name).kernel for part in (head, plain.box_head))
            np.testing.assert_array_equal(*(ops.convert_to_numpy(kernel) for kernel in kernels))
    with pytest.raises(UserError, match=r"Matterport's layout has one box head .*model\.architecture"):
        save_matterport(cascade, tmp_path / "again.h5")
