"""Which ground-truth box an anchor or proposal belongs to."""

from __future__ import annotations

from keras import ops

from fashionseg.ops.boxes import Tensor

CROWD_IOU = 0.001  # overlap with a crowd box from which a candidate is no negative


def best_match(iou: Tensor, is_instance: Tensor) -> tuple[Tensor, Tensor]:
    """Best instance of each candidate.

    Args:
        iou: [B, N, G].
        is_instance: bool [B, G]; False for padding and crowds.

    Returns:
        best IoU float32 [B, N] (0 where a photo has no instance) and its index int32 [B, N] (ties: the first).
    """
    iou = ops.where(is_instance[:, None, :], iou, -1.0)
    return ops.maximum(ops.max(iou, axis=2), 0.0), ops.cast(ops.argmax(iou, axis=2), "int32")


def touches_crowd(iou: Tensor, is_crowd: Tensor) -> Tensor:
    """bool [B, N]: candidates over a crowd box, which are neither positive nor negative."""
    return ops.any(ops.logical_and(is_crowd[:, None, :], iou >= CROWD_IOU), axis=2)


def is_best_of_some(iou: Tensor, is_instance: Tensor) -> Tensor:
    """bool [B, N]: candidates that no other beats for some instance; all tied ones count.

    An instance that no candidate overlaps has no best one.
    """
    best = ops.max(iou, axis=1, keepdims=True)
    is_tied = ops.logical_and(iou == best, is_instance[:, None, :])
    return ops.any(ops.logical_and(is_tied, best > 0.0), axis=2)
