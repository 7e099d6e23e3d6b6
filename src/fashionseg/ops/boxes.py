"""Box algebra: two coordinate frames, deltas, intersection over union."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from keras import ops

Tensor: TypeAlias = Any  # a tensor of whichever backend Keras runs on

MAX_STRETCH = 1000.0 / 16.0  # the largest photo side over the smallest box side, as in Detectron


def normalise(boxes: Tensor, height: int, width: int) -> Tensor:
    """Pixels, half-open -> normalised, `y2, x2` inside: `(y1, x1, y2 - 1, x2 - 1) / (H - 1, W - 1, ...)`.

    The frame of Matterport's graph: 0 is the centre of the first pixel and 1 that of the last one.
    """
    scale, shift = _frame(height, width)
    return (ops.cast(boxes, "float32") - shift) / scale


def denormalise(boxes_norm: Tensor, height: int, width: int) -> Tensor:
    """Inverse of `normalise`, not rounded."""
    scale, shift = _frame(height, width)
    return boxes_norm * scale + shift


def apply_deltas(boxes: Tensor, deltas: Tensor) -> Tensor:
    """Moves and stretches `boxes` [..., 4] by `deltas` [..., 4] = `(dy, dx, log dh, log dw)` (R-CNN, appendix C).

    A side grows by `MAX_STRETCH` at most: a wild delta would make it infinite and the box NaN, which clipping keeps.
    """
    y1, x1, y2, x2 = ops.unstack(boxes, 4, axis=-1)
    dy, dx, log_dh, log_dw = ops.unstack(deltas, 4, axis=-1)
    height, width = y2 - y1, x2 - x1
    center_y = y1 + 0.5 * height + dy * height
    center_x = x1 + 0.5 * width + dx * width
    height = height * ops.exp(ops.minimum(log_dh, math.log(MAX_STRETCH)))
    width = width * ops.exp(ops.minimum(log_dw, math.log(MAX_STRETCH)))
    y1 = center_y - 0.5 * height
    x1 = center_x - 0.5 * width
    return ops.stack([y1, x1, y1 + height, x1 + width], axis=-1)


def encode_deltas(boxes: Tensor, gt_boxes: Tensor) -> Tensor:
    """Inverse of `apply_deltas`: the deltas that move `boxes` onto `gt_boxes`, both [..., 4] in one frame.

    Boxes without area have no deltas; the caller masks those rows (their values are finite, never NaN).
    """
    y1, x1, y2, x2 = ops.unstack(boxes, 4, axis=-1)
    gy1, gx1, gy2, gx2 = ops.unstack(gt_boxes, 4, axis=-1)
    # NaN in a masked row would still poison the gradient (0 * NaN), hence the floors.
    height, width = ops.maximum(y2 - y1, 1e-8), ops.maximum(x2 - x1, 1e-8)
    gt_height, gt_width = ops.maximum(gy2 - gy1, 1e-8), ops.maximum(gx2 - gx1, 1e-8)
    dy = ((gy1 + 0.5 * gt_height) - (y1 + 0.5 * height)) / height
    dx = ((gx1 + 0.5 * gt_width) - (x1 + 0.5 * width)) / width
    return ops.stack([dy, dx, ops.log(gt_height / height), ops.log(gt_width / width)], axis=-1)


def clip_boxes(boxes: Tensor, windows: Tensor) -> Tensor:
    """Cuts `boxes` [..., 4] at `windows` (broadcastable to [..., 4], the same frame)."""
    y1, x1, y2, x2 = ops.unstack(boxes, 4, axis=-1)
    wy1, wx1, wy2, wx2 = ops.unstack(windows, 4, axis=-1)

    def clip(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return ops.maximum(ops.minimum(value, high), low)

    return ops.stack(
        [clip(y1, wy1, wy2), clip(x1, wx1, wx2), clip(y2, wy1, wy2), clip(x2, wx1, wx2)], axis=-1
    )


def area(boxes: Tensor) -> Tensor:
    """[..., 4] -> [...]."""
    y1, x1, y2, x2 = ops.unstack(boxes, 4, axis=-1)
    return (y2 - y1) * (x2 - x1)


def iou_matrix(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Intersection over union of each pair: [..., M, 4], [..., N, 4] -> [..., M, N]; 0 where both have no area."""
    y1a, x1a, y2a, x2a = (part[..., :, None] for part in ops.unstack(boxes_a, 4, axis=-1))
    y1b, x1b, y2b, x2b = (part[..., None, :] for part in ops.unstack(boxes_b, 4, axis=-1))
    height = ops.maximum(ops.minimum(y2a, y2b) - ops.maximum(y1a, y1b), 0.0)
    width = ops.maximum(ops.minimum(x2a, x2b) - ops.maximum(x1a, x1b), 0.0)
    intersection = height * width
    union = (y2a - y1a) * (x2a - x1a) + (y2b - y1b) * (x2b - x1b) - intersection
    return ops.where(union > 0.0, intersection / ops.maximum(union, 1e-12), 0.0)


def is_real(boxes: Tensor) -> Tensor:
    """[..., 4] -> bool [...]: not a padding row of zeros."""
    return ops.any(boxes != 0.0, axis=-1)


def _frame(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    scale = np.array([height - 1, width - 1, height - 1, width - 1], np.float32)
    return scale, np.array([0, 0, 1, 1], np.float32)
