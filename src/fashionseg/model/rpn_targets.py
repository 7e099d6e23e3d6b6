"""RPN training targets: label and box deltas per anchor (Faster R-CNN, section 3.1.2)."""

from __future__ import annotations

import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor, encode_deltas, iou_matrix
from fashionseg.ops.gather import take_rows
from fashionseg.ops.matching import best_match, is_best_of_some, touches_crowd
from fashionseg.ops.sampling import limit

POSITIVE_IOU, NEGATIVE_IOU = 0.7, 0.3
POSITIVE, NEUTRAL, NEGATIVE = 1, 0, -1


def rpn_targets(
    anchors: np.ndarray,
    gt_classes: Tensor,
    gt_boxes: Tensor,
    priorities: Tensor,
    anchors_per_image: int,
    box_std: tuple[float, ...],
) -> tuple[Tensor, Tensor]:
    """Positive: IoU of 0.7 or more, or the best anchor of some instance. Negative: below 0.3 with all.

    The boxes are compared in pixels, as Matterport does (proposals are made in the normalised frame).

    Args:
        anchors: [A, 4] in pixels; float64 computes the overlaps in float64, so that ties fall as in Matterport's
            NumPy code (float32 is faster and as good for training).
        gt_classes: int [B, G]; 0 is padding, negative a crowd.
        gt_boxes: [B, G, 4] in pixels.
        priorities: [B, A] in [0, 1); which anchors stay when there are too many.
        anchors_per_image: at most half of them positive, the rest negative.
        box_std: divisor of the deltas.

    Returns:
        match int32 [B, A] (1, 0 = not used, -1) and deltas float32 [B, A, 4], meaningful where match is 1.
    """
    std_dev = np.asarray(box_std, anchors.dtype)
    gt_boxes = ops.cast(gt_boxes, str(anchors.dtype))
    anchors = ops.convert_to_tensor(anchors)
    iou = iou_matrix(anchors[None], gt_boxes)
    best_iou, best = best_match(iou, gt_classes > 0)
    positive = ops.logical_or(best_iou >= POSITIVE_IOU, is_best_of_some(iou, gt_classes > 0))
    negative = ops.logical_and(best_iou < NEGATIVE_IOU, ops.logical_not(touches_crowd(iou, gt_classes < 0)))
    negative = ops.logical_and(negative, ops.logical_not(positive))

    positive = limit(positive, priorities, anchors_per_image // 2)
    num_positive = ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True)
    negative = _limit_by_row(negative, priorities, anchors_per_image - num_positive, anchors_per_image)
    match = ops.cast(positive, "int32") - ops.cast(negative, "int32")

    matched = take_rows(gt_boxes, best)
    deltas = ops.cast(encode_deltas(anchors[None], matched) / std_dev, "float32")
    return match, ops.where(positive[..., None], deltas, 0.0)


def _limit_by_row(candidates: Tensor, priorities: Tensor, max_counts: Tensor, upper_bound: int) -> Tensor:
    """`limit` with another count for each row: int [B, 1], none above `upper_bound`."""
    num = candidates.shape[1]
    keys = ops.where(candidates, priorities, -1.0)
    best_keys, _ = ops.top_k(keys, k=min(upper_bound, num))
    last = ops.clip(max_counts - 1, 0, min(upper_bound, num) - 1)
    smallest_kept = take_rows(best_keys, last)
    kept = ops.logical_and(candidates, keys >= smallest_kept)
    return ops.logical_and(kept, max_counts > 0)
