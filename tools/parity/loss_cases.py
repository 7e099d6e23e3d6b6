"""`losses`: the five losses and their gradients with respect to the predictions."""

from __future__ import annotations

import re
from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from fashionseg.model import losses
from fashionseg.ops.boxes import Tensor
from tools.parity.backend import gradients
from tools.parity.reference import Arrays, Reference, unpack
from tools.parity.table import FLOAT_TOLERANCE, Row, close_to_scale

LOSS_TOLERANCE = 3e-6  # relative: ten times the noise of the reference
PREDICTIONS = ("rpn_class_logits", "rpn_bbox", "mrcnn_class_logits", "mrcnn_bbox", "mrcnn_mask")


def compare(reference: Reference, name: str) -> Iterator[Row]:
    """All rows of the file."""
    arrays = reference.arrays(name)
    first = "losses_a_"
    for case in sorted({match[0] for key in arrays if (match := re.match(r"losses_[a-z]+_", key))}):
        # What a later case does not repeat is that of the first.
        own = {key.removeprefix(first): value for key, value in arrays.items() if key.startswith(first)}
        own |= {key.removeprefix(case): value for key, value in arrays.items() if key.startswith(case)}
        yield from _losses(own, case)


def _losses(arrays: Arrays, case: str) -> Iterator[Row]:
    predictions = {key: keras.Variable(arrays[key]) for key in PREDICTIONS}
    values, found = gradients(lambda: matterport_losses(arrays, predictions), list(predictions.values()))
    for loss, value in values.items():
        yield close_to_scale(f"{case}out_{loss}", value, arrays[f"out_{loss}"], LOSS_TOLERANCE)
    if case != "losses_a_":
        return
    for key, gradient in zip(PREDICTIONS, found, strict=True):
        expected = _stored_gradient(arrays, key)
        yield close_to_scale(f"{case}grad_{key}", gradient, expected, FLOAT_TOLERANCE)


def matterport_losses(arrays: Arrays, predictions: dict[str, Tensor]) -> dict[str, Tensor]:
    """The five losses by Matterport's rules: padding rows count, by their predicted class when it is active."""
    match = arrays["rpn_match"][..., 0].astype(np.int32)
    classes = arrays["target_class_ids"]
    masks = unpack(arrays, "target_mask").reshape(arrays["target_mask_shape"]).astype(np.float32)
    logits = predictions["mrcnn_class_logits"]
    terms = {
        "rpn_class_loss": losses.rpn_class_loss(match, predictions["rpn_class_logits"] + 0.0),
        "rpn_bbox_loss": losses.rpn_box_loss(
            match, at_anchors(match, arrays["rpn_bbox_target"]), predictions["rpn_bbox"] + 0.0
        ),
        "mrcnn_class_loss": losses.class_loss(
            classes, logits + 0.0, counted_rows(logits, arrays["active_class_ids"])
        ),
        "mrcnn_bbox_loss": losses.box_loss(classes, arrays["target_bbox"], predictions["mrcnn_bbox"] + 0.0),
        "mrcnn_mask_loss": losses.mask_loss_clipped(classes, masks, predictions["mrcnn_mask"] + 0.0),
    }
    return {name: term.value for name, term in terms.items()}


def counted_rows(class_logits: Tensor, active_classes: np.ndarray) -> Tensor:
    """[B, R]: Matterport counts every row whose predicted class is active for the first image."""
    return ops.take(ops.convert_to_tensor(active_classes[0]), ops.argmax(class_logits, axis=-1), axis=0)


def at_anchors(match: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The stored RPN targets [B, n, 4], one row a positive anchor, as [B, A, 4]."""
    deltas = np.zeros((*match.shape, 4), np.float32)
    for image, row in enumerate(rows):
        positive = np.flatnonzero(match[image] == 1)
        deltas[image, positive] = row[: len(positive)]
    return deltas


def _stored_gradient(arrays: Arrays, key: str) -> np.ndarray:
    """The whole gradient; what is not stored is zero."""
    stored = arrays[f"grad_{key}"]
    if f"grad_{key}_index" not in arrays:
        return stored
    gradient = np.zeros_like(arrays[key])
    image, row = arrays[f"grad_{key}_index"].T
    if key == "mrcnn_mask":
        gradient[image, row, :, :, arrays["target_class_ids"][image, row]] = stored
    else:
        gradient[image, row] = stored
    return gradient
