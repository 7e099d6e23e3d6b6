"""Mask targets: ground-truth mini-masks seen through a RoI."""

from __future__ import annotations

import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor

# A sample on the edge may come out this far outside, in pixels. Without it a RoI that equals its instance's box loses
# the last row and column of its target: 27 * (55 / 27) is more than 55 in float32.
EDGE_SLACK = 1e-4


def crop_masks(masks: Tensor, boxes_norm: Tensor, size: int, edge_slack: float = EDGE_SLACK) -> Tensor:
    """Bilinear samples of each mask in its box, corner to corner; 0 outside the mask.

    Bilinear sampling is separable, so two small matrix products per mask do it: no gather, exact weights.

    Args:
        masks: [..., h, w].
        boxes_norm: [..., 4], normalised to the mask (0 = centre of the first pixel, 1 = of the last).
        size: S, samples per side.
        edge_slack: pixels by which a sample may lie outside and still count as on the edge.

    Returns:
        float32 [..., S, S].
    """
    y1, x1, y2, x2 = ops.unstack(boxes_norm, 4, axis=-1)
    rows = _interpolation_matrix(y1, y2, masks.shape[-2], size, edge_slack)
    columns = _interpolation_matrix(x1, x2, masks.shape[-1], size, edge_slack)
    along_rows = ops.matmul(rows, ops.cast(masks, "float32"))
    return ops.matmul(along_rows, ops.swapaxes(columns, -1, -2))


def relative_boxes(boxes_norm: Tensor, frames_norm: Tensor) -> Tensor:
    """`boxes_norm` [..., 4] seen from inside `frames_norm` [..., 4]: the frame's corners become 0 and 1.

    Frames without area give finite values without meaning; the caller masks those rows.
    """
    y1, x1, y2, x2 = ops.unstack(boxes_norm, 4, axis=-1)
    fy1, fx1, fy2, fx2 = ops.unstack(frames_norm, 4, axis=-1)
    height, width = fy2 - fy1, fx2 - fx1
    height = ops.where(height > 0.0, height, 1.0)
    width = ops.where(width > 0.0, width, 1.0)
    return ops.stack(
        [(y1 - fy1) / height, (x1 - fx1) / width, (y2 - fy1) / height, (x2 - fx1) / width], axis=-1
    )


def _interpolation_matrix(low: Tensor, high: Tensor, length: int, size: int, edge_slack: float) -> Tensor:
    """[..., S, length]: row i holds the weights of the pixels around sample i; all 0 when it lies outside."""
    last = float(length - 1)
    step = (high - low) * last / ops.full_like(low, size - 1)  # a tensor as divisor: see `roi_align._samples`
    position = (low * last)[..., None] + ops.arange(size, dtype="float32") * step[..., None]
    inside = ops.logical_and(position >= -edge_slack, position <= last + edge_slack)
    position = ops.clip(position, 0.0, last)
    distance = ops.abs(position[..., None] - ops.convert_to_tensor(np.arange(length, dtype=np.float32)))
    weights = ops.maximum(1.0 - distance, 0.0)
    return ops.where(inside[..., None], weights, 0.0)
