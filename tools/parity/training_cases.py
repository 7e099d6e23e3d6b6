"""`train_*`: a training batch: targets, losses on given proposals, gradients, and Matterport's gradient leak."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from fashionseg.model import losses
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.model.matterport_layout import name_pairs
from fashionseg.model.roi_targets import RoiTargets
from fashionseg.model.weights import backbone_of, variable_of
from fashionseg.ops.boxes import Tensor, normalise
from fashionseg.ops.sampling import first_in_order
from fashionseg.training.optimizer import l2_loss
from tools.parity.backend import gradients, rounded_as_matterports
from tools.parity.inference_cases import (
    CLASS_LOGITS_TOLERANCE,
    DELTAS_TOLERANCE,
    HALF_FLOAT_ROUNDING,
    MASK_TOLERANCE,
    PROPOSAL_TOLERANCE,
    RPN_TOLERANCE,
)
from tools.parity.layer_cases import all_masks, matterport_sampler
from tools.parity.loss_cases import LOSS_TOLERANCE, at_anchors, counted_rows
from tools.parity.reference import Arrays, Reference, config_of, unpack
from tools.parity.table import FLOAT_TOLERANCE, Row, as_array, close, close_to_scale, same

GRADIENT_TOLERANCE = 1e-5  # of each array's norm: ten times the noise of the reference
SAMPLE_TOLERANCE = 1e-4  # of the norm, for single values: a ReLU that rounding flips shows in them
# With batch norm in the kernels: other rounding, by which some ReLU near zero flips in a layer or two.
FOLDED_TOLERANCE = 1e-3
LEAK_TOLERANCE = 1e-4  # of the norm, on the network's own proposals: the noise was not measured there
SAMPLES = 16  # stored values of each gradient


class Batch:
    """A reference file's batch on a network with its weights.

    Args:
        arrays: the file.
        network: as its configuration says.
        config: Matterport's.
    """

    def __init__(self, arrays: Arrays, network: MaskRCNN, config: dict[str, Any]) -> None:
        self.arrays, self.network = arrays, network
        self.sampler = matterport_sampler(config["TRAIN_ROIS_PER_IMAGE"], config["ROI_POSITIVE_RATIO"])
        self.weight_decay = config["WEIGHT_DECAY"]
        self.images = arrays["images_uint8"]
        self.match = arrays["rpn_match"][..., 0].astype(np.int32)
        self.active_classes = arrays["image_meta"][:, 12:].astype(np.float32)
        side, num_images = network.image_size, len(self.images)
        self.gt_boxes_norm = as_array(normalise(arrays["gt_boxes"], side, side))
        self.gt_boxes_norm[arrays["gt_class_ids"] == 0] = 0.0
        masks = unpack(arrays, "gt_masks")
        self.gt_masks = masks.reshape(num_images, -1, *masks.shape[1:]).astype(np.float32)

    def targets(self, proposals: Tensor, cuts_gradient: bool = True) -> RoiTargets:
        """RoIs and targets in the order of the proposals."""
        sampler = self.sampler._replace(cuts_gradient=cuts_gradient)
        return sampler(
            proposals,
            self.arrays["gt_class_ids"],
            self.gt_boxes_norm,
            self.gt_masks,
            first_in_order(len(self.images), proposals.shape[1]),
        )

    def losses(
        self, targets: RoiTargets, rpn: tuple[Tensor, Tensor], pyramid: list[Tensor]
    ) -> dict[str, Tensor]:
        """The five losses by Matterport's rules, the mask head on positive RoIs only as in our training."""
        rois = ops.stop_gradient(targets.rois_norm)
        class_logits, deltas = self.network.classify(pyramid, rois, True, targets.is_real)
        first = self.sampler.num_masks
        classes = targets.classes[:, :first]
        mask_logits = self.network.segment(pyramid, rois[:, :first], True, classes > 0)
        rpn_deltas = at_anchors(self.match, self.arrays["rpn_bbox_target"])
        terms = {
            "rpn_class_loss": losses.rpn_class_loss(self.match, rpn[0]),
            "rpn_bbox_loss": losses.rpn_box_loss(self.match, rpn_deltas, rpn[1]),
            "mrcnn_class_loss": losses.class_loss(
                targets.classes, class_logits, counted_rows(class_logits, self.active_classes)
            ),
            "mrcnn_bbox_loss": losses.box_loss(targets.classes, targets.deltas, deltas),
            "mrcnn_mask_loss": losses.mask_loss_clipped(classes, targets.masks, ops.sigmoid(mask_logits)),
        }
        return {name: term.value for name, term in terms.items()}

    def own_mask_loss(self, targets: RoiTargets, pyramid: list[Tensor]) -> Tensor:
        """The mask loss that we train with, from logits: the same but for saturated pixels."""
        first = self.sampler.num_masks
        classes = targets.classes[:, :first]
        own_logits = self.network.segment_class(pyramid, targets.rois_norm[:, :first], classes, True)
        return losses.mask_loss(classes, targets.masks, own_logits).value

    def forward(self) -> tuple[list[Tensor], tuple[Tensor, Tensor]]:
        """Pyramid, and the RPN's logits and deltas."""
        pyramid = self.network.pyramid(self.images, True)
        return pyramid, self.network.rpn(pyramid, True)


def compare(reference: Reference, name: str) -> Iterator[Row]:
    """All rows of the file."""
    arrays = reference.arrays(name)
    config = config_of(arrays)
    batch = Batch(arrays, reference.network(config), config)
    pyramid, rpn = batch.forward()
    step = int(arrays["rpn_map_step"])
    yield close("rpn_class_logits", rpn[0][:, ::step], arrays["rpn_class_logits"], RPN_TOLERANCE)
    yield close("rpn_bbox", rpn[1][:, ::step], arrays["rpn_bbox"], RPN_TOLERANCE)
    for prefix in ("fixed", "own"):
        yield from _second_stage(batch, prefix, pyramid, rpn)
    yield from _gradients(batch)
    yield from _leak(batch)


def _second_stage(
    batch: Batch, prefix: str, pyramid: list[Tensor], rpn: tuple[Tensor, Tensor]
) -> Iterator[Row]:
    """Targets, head outputs and losses on the stored proposals."""
    arrays, network = batch.arrays, batch.network
    targets = batch.targets(_proposals(batch, prefix))
    stored_masks = unpack(arrays, f"{prefix}_target_mask").reshape(arrays[f"{prefix}_target_mask_shape"])
    yield same(f"{prefix}_rois", targets.rois_norm, arrays[f"{prefix}_rois"])
    yield same(f"{prefix}_target_class_ids", targets.classes, arrays[f"{prefix}_target_class_ids"])
    yield close_to_scale(
        f"{prefix}_target_bbox", targets.deltas, arrays[f"{prefix}_target_bbox"], FLOAT_TOLERANCE
    )
    yield same(f"{prefix}_target_mask", all_masks(targets), stored_masks)

    rois = arrays[f"{prefix}_rois"]
    logits, deltas = (as_array(x) for x in network.classify(pyramid, rois, True))
    yield close(
        f"{prefix}_mrcnn_class_logits", logits, arrays[f"{prefix}_mrcnn_class_logits"], CLASS_LOGITS_TOLERANCE
    )
    image, row = arrays[f"{prefix}_positive_index"].T
    classes = arrays[f"{prefix}_target_class_ids"][image, row]
    key = f"{prefix}_mrcnn_bbox_of_target"
    yield close(key, deltas[image, row, classes], arrays[key], DELTAS_TOLERANCE)
    masks = as_array(ops.sigmoid(network.segment(pyramid, rois, True)))
    key = f"{prefix}_mrcnn_mask_of_target"
    yield close(key, masks[image, row, :, :, classes], arrays[key], MASK_TOLERANCE + HALF_FLOAT_ROUNDING)
    for loss, value in batch.losses(targets, rpn, pyramid).items():
        yield close_to_scale(f"{prefix}_{loss}", value, arrays[f"{prefix}_{loss}"], LOSS_TOLERANCE)
    own = batch.own_mask_loss(targets, pyramid)
    key = f"{prefix}_mrcnn_mask_loss"
    yield close_to_scale(f"{key} (from logits)", own, arrays[key], LOSS_TOLERANCE)


def _gradients(batch: Batch) -> Iterator[Row]:
    """Of the five losses and the weight decay, heads alone and all layers."""
    network, arrays = batch.network, batch.arrays
    targets = batch.targets(_proposals(batch, "fixed"))

    def values() -> dict[str, Tensor]:
        pyramid, rpn = batch.forward()
        decay = l2_loss(network.trainable_variables, batch.weight_decay)
        return {**batch.losses(targets, rpn, pyramid), "l2_loss": decay}

    for layers in ("heads", "all"):
        prefix = f"grad_{layers}"
        network.backbone.trainable = layers == "all"
        names, variables = _trainable(network)
        stored_names = [str(name) for name in arrays[f"{prefix}_names"]]
        is_same_set = sorted(names) == sorted(stored_names)
        yield same(
            f"{prefix}_names", np.full(len(stored_names), not is_same_set), np.zeros(len(stored_names))
        )
        if not is_same_set:
            continue
        variables = [variables[names.index(name)] for name in stored_names]
        with rounded_as_matterports(network):
            found, gradient = gradients(values, variables)
        yield from _gradient_rows(arrays, prefix, [as_array(g) for g in gradient])
        trained = _norms([as_array(g) for g in gradients(values, variables)[1]])
        norm = arrays[f"{prefix}_norm"]
        yield close(
            f"{prefix}_norm (relative, as trained)", trained / norm, np.ones_like(norm), FOLDED_TOLERANCE
        )
        total = sum(float(as_array(value)) for value in found.values())
        stored_decay = float(arrays[f"{prefix}_l2_loss"])
        yield close(f"{prefix}_l2_loss", found["l2_loss"], stored_decay, LOSS_TOLERANCE * stored_decay)
        yield close_to_scale(
            f"{prefix}_total_loss", np.array(total), arrays[f"{prefix}_total_loss"], LOSS_TOLERANCE
        )
    network.backbone.trainable = True


def _gradient_rows(arrays: Arrays, prefix: str, gradient: list[np.ndarray]) -> Iterator[Row]:
    """Norms and samples, both as fractions of the stored norm of their array."""
    stored_norm = arrays[f"{prefix}_norm"]
    norms = _norms(gradient)
    samples = np.stack([_samples(g) for g in gradient])
    scale = stored_norm[:, None]
    yield close(f"{prefix}_norm (relative)", norms / stored_norm, np.ones_like(norms), GRADIENT_TOLERANCE)
    stored_samples = arrays[f"{prefix}_sample"] / scale
    yield close(f"{prefix}_sample (of the norm)", samples / scale, stored_samples, SAMPLE_TOLERANCE)
    global_norm, stored_global = float(np.sqrt(np.sum(norms**2))), float(arrays[f"{prefix}_global_norm"])
    yield close(
        f"{prefix}_global_norm",
        np.array(global_norm),
        np.array(stored_global),
        GRADIENT_TOLERANCE * stored_global,
    )


def _leak(batch: Batch) -> Iterator[Row]:
    """Gradients on the network's own proposals, as ours are and as Matterport's are."""
    network, arrays = batch.network, batch.arrays
    names, variables = _trainable(network)
    stored_names = [str(name) for name in arrays["leak_names"]]
    variables = [variables[names.index(name)] for name in stored_names]
    count = arrays["own_proposals"].shape[1]

    def values(cuts_gradient: bool) -> dict[str, Tensor]:
        pyramid, rpn = batch.forward()
        scores = ops.stop_gradient(ops.softmax(rpn[0])[..., 1])
        proposals = network.proposals(scores, rpn[1], network.anchors_norm, count=count)
        order = _order_like(arrays["own_proposals"], as_array(ops.stop_gradient(proposals)))
        proposals = ops.take_along_axis(proposals, order[..., None], axis=1)
        # The stored values with the gradient of ours: RoIAlign at the border turns on the last bit of a box.
        proposals = arrays["own_proposals"] + (proposals - ops.stop_gradient(proposals))
        decay = l2_loss(network.trainable_variables, batch.weight_decay)
        targets = batch.targets(proposals, cuts_gradient)
        return {**batch.losses(targets, rpn, pyramid), "l2_loss": decay}

    cut, full = (
        [as_array(g) for g in gradients(partial(values, cuts), variables)[1]] for cuts in (True, False)
    )
    difference = [a.astype(np.float64) - b for a, b in zip(full, cut, strict=True)]
    stored = {"cut": cut, "full": full, "difference": difference}
    for key, gradient in stored.items():
        scale = arrays["leak_norm_full"]
        expected = arrays[f"leak_norm_{key}"] / scale
        yield close(f"leak_norm_{key} (relative)", _norms(gradient) / scale, expected, LEAK_TOLERANCE)


def _order_like(expected: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """int [B, P]: our proposals in the order of the stored ones, of which scores closer than rounding swap."""
    order = np.tile(np.arange(ours.shape[1]), (len(ours), 1))
    for image in range(len(ours)):
        swapped = np.flatnonzero(np.abs(ours[image] - expected[image]).max(axis=1) > PROPOSAL_TOLERANCE)
        distance = np.abs(expected[image, swapped, None] - ours[image, None, swapped]).sum(axis=2)
        order[image, swapped] = swapped[distance.argmin(axis=1)]
    return order


def _proposals(batch: Batch, prefix: str) -> np.ndarray:
    """The stored proposals, padded to the RoIs per image: ours samples that many rows of at least as many."""
    proposals = batch.arrays[f"{prefix}_proposals"]
    missing = max(batch.sampler.rois_per_image - proposals.shape[1], 0)
    return np.pad(proposals, [(0, 0), (0, missing), (0, 0)])


def _trainable(network: MaskRCNN) -> tuple[list[str], list[keras.Variable]]:
    """Matterport's names of the trainable weights, and our variables."""
    trainable = {id(variable) for variable in network.trainable_variables}
    found = [(pair.name, variable_of(network, pair)) for pair in name_pairs(backbone_of(network))]
    kept = [(name, variable) for name, variable in found if id(variable) in trainable]
    return [name for name, _ in kept], [variable for _, variable in kept]


def _norms(gradient: list[np.ndarray]) -> np.ndarray:
    return np.array([np.sqrt(np.sum(g.astype(np.float64) ** 2)) for g in gradient])


def _samples(gradient: np.ndarray) -> np.ndarray:
    flat = gradient.reshape(-1)
    return flat[np.linspace(0, flat.size - 1, SAMPLES).round().astype(int)]
