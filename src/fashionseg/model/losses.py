"""The five losses of Mask R-CNN (section 3), each a sum over the rows that count and their number.

`LossTerm.value` is the mean as Matterport takes it.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from fashionseg.model.api import LossTerm
from fashionseg.ops.boxes import Tensor

CLIP = 1e-7  # Keras's epsilon, for probabilities inside a logarithm


def smooth_l1(targets: Tensor, predictions: Tensor) -> Tensor:
    """Huber loss with its corner at 1, elementwise (Fast R-CNN, equation 3)."""
    error = ops.abs(targets - predictions)
    return ops.where(error < 1.0, 0.5 * ops.square(error), error - 0.5)


def cross_entropy(classes: Tensor, logits: Tensor) -> Tensor:
    """Cross-entropy of int classes [...] under logits [..., K]: [...]."""
    log_scores = ops.log_softmax(logits, axis=-1)
    return -ops.take_along_axis(log_scores, ops.cast(classes, "int32")[..., None], axis=-1)[..., 0]


def masked_sum(values: Tensor, mask: Tensor) -> LossTerm:
    """Sum of `values` where `mask` (same shape, bool or 0/1) holds, and how often it does."""
    mask = ops.cast(mask, "float32")
    return LossTerm(ops.sum(values * mask), ops.sum(mask))


def rpn_class_loss(match: Tensor, logits: Tensor) -> LossTerm:
    """Cross-entropy of object against background over the anchors in use.

    Args:
        match: int [B, A]: 1 object, -1 background, 0 not used.
        logits: [B, A, 2].
    """
    return masked_sum(cross_entropy(ops.cast(match == 1, "int32"), logits), match != 0)


def rpn_box_loss(match: Tensor, target_deltas: Tensor, deltas: Tensor) -> LossTerm:
    """Smooth L1 over the coordinates of the positive anchors: match [B, A], deltas [B, A, 4]."""
    return masked_sum(ops.mean(smooth_l1(target_deltas, deltas), axis=-1), match == 1)


def class_loss(
    target_classes: Tensor, logits: Tensor, is_counted: Tensor, class_targets: np.ndarray | None = None
) -> LossTerm:
    """Cross-entropy over the RoIs that count.

    Args:
        target_classes: int [B, R].
        logits: [B, R, K].
        is_counted: bool [B, R]. Matterport counts padding rows too, as background; pass all ones for that.
        class_targets: [K, K], the target distribution of each class, see `label_smoothing`; None: one-hot.
    """
    if class_targets is None:
        return masked_sum(cross_entropy(target_classes, logits), is_counted)
    targets = ops.take(ops.convert_to_tensor(class_targets), target_classes, axis=0)
    return masked_sum(-ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1), is_counted)


def box_loss(target_classes: Tensor, target_deltas: Tensor, deltas: Tensor) -> LossTerm:
    """Smooth L1 over the positive RoIs, for the deltas of the target class only.

    Args:
        target_classes: int [B, R].
        target_deltas: [B, R, 4].
        deltas: [B, R, L, 4]; L = K, or 1 for a class-agnostic head.
    """
    column = target_classes if deltas.shape[2] > 1 else ops.zeros_like(target_classes)
    own = ops.take_along_axis(deltas, column[..., None, None], axis=2)[:, :, 0]
    return masked_sum(ops.mean(smooth_l1(target_deltas, own), axis=-1), target_classes > 0)


def mask_loss(target_classes: Tensor, target_masks: Tensor, own_logits: Tensor) -> LossTerm:
    """Binary cross-entropy over the pixels of the positive RoIs, for the mask of the target class only.

    From logits, so saturated pixels keep their gradient (Matterport clips probabilities at 1e-7).

    Args:
        target_classes: int [B, M].
        target_masks: 0/1 [B, M, 28, 28].
        own_logits: [B, M, 28, 28], of the target class.
    """
    entropy = ops.relu(own_logits) - own_logits * target_masks + ops.log1p(ops.exp(-ops.abs(own_logits)))
    return masked_sum(ops.mean(entropy, axis=(-2, -1)), target_classes > 0)


def mask_iou_loss(target_classes: Tensor, target_iou: Tensor, iou: Tensor) -> LossTerm:
    """Squared error of the predicted mask quality over the positive RoIs (Mask Scoring R-CNN, section 3.3).

    Args:
        target_classes: int [B, M].
        target_iou: [B, M], see `mask_iou.mask_iou_targets`.
        iou: [B, M].
    """
    return masked_sum(ops.square(target_iou - iou), target_classes > 0)


def mask_loss_clipped(target_classes: Tensor, target_masks: Tensor, mask_scores: Tensor) -> LossTerm:
    """`mask_loss` as in Matterport's code, for comparison: from probabilities clipped to [1e-7, 1 - 1e-7].

    Args:
        target_classes: int [B, R].
        target_masks: 0/1 [B, R, 28, 28].
        mask_scores: [B, R, 28, 28, K] after the sigmoid.
    """
    own = ops.take_along_axis(mask_scores, target_classes[..., None, None, None], axis=4)[..., 0]
    own = ops.clip(own, CLIP, 1.0 - CLIP)
    entropy = -target_masks * ops.log(own + CLIP) - (1.0 - target_masks) * ops.log(1.0 - own + CLIP)
    return masked_sum(ops.mean(entropy, axis=(-2, -1)), target_classes > 0)
