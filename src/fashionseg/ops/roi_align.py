"""RoIAlign (Mask R-CNN, section 3) as Matterport does it: one bilinear sample a bin, over all levels in one gather."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor, area

FIRST_LEVEL, LAST_LEVEL = 2, 5
CANONICAL_SIDE, CANONICAL_LEVEL = 224.0, 4


def pyramid_levels(boxes_norm: Tensor, image_shape: tuple[int, int]) -> Tensor:
    """The level that each box is pooled from (FPN, equation 1), rounded, 2 to 5.

    Args:
        boxes_norm: [..., 4].
        image_shape: (height, width) of the network's input in pixels.

    Returns:
        int32 [...]; boxes without area get level 2.
    """
    canonical = CANONICAL_SIDE / math.sqrt(image_shape[0] * image_shape[1])
    side = ops.sqrt(ops.maximum(area(boxes_norm), 1e-24))
    level = CANONICAL_LEVEL + ops.round(ops.log(side / canonical) / math.log(2.0))
    # Clipped as integers: a box of NaN (a training that diverged) then makes a loss of NaN, not a gather out of range.
    return ops.clip(ops.cast(level, "int32"), FIRST_LEVEL, LAST_LEVEL)


def multilevel_roi_align(
    features: Sequence[Tensor], boxes_norm: Tensor, image_shape: tuple[int, int], pool_size: int
) -> Tensor:
    """Pools each box from the level of its size.

    The maps are laid behind each other so that one gather serves all levels and nothing of a dynamic shape
    arises. The corner bins sample exactly the corners of the box; a sample outside its map is 0, as in
    `tf.image.crop_and_resize`.

    Args:
        features: P2 to P5, [B, H_l, W_l, C] each.
        boxes_norm: [B, R, 4].
        image_shape: (height, width) of the network's input in pixels.
        pool_size: bins per side.

    Returns:
        [B, R, pool_size, pool_size, C].
    """
    shapes = np.array([feature.shape[1:3] for feature in features], np.int32)
    channels = features[0].shape[-1]
    num_rois = boxes_norm.shape[1]
    sizes = shapes[:, 0] * shapes[:, 1]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)

    level = pyramid_levels(boxes_norm, image_shape) - FIRST_LEVEL
    height, width, start = (
        ops.take(ops.convert_to_tensor(v), level) for v in (shapes[:, 0], shapes[:, 1], starts)
    )
    y1, x1, y2, x2 = ops.unstack(ops.cast(boxes_norm, "float32"), 4, axis=-1)
    top, bottom, y_weight, y_inside = _samples(y1, y2, height, pool_size)
    left, right, x_weight, x_inside = _samples(x1, x2, width, pool_size)

    # Rows of one [B * cells, C] table: a plain row gather, whose gradient is a plain row scatter.
    table = ops.concatenate(
        [ops.reshape(feature, (-1, size, channels)) for feature, size in zip(features, sizes, strict=True)],
        axis=1,
    )
    cells = int(sizes.sum())
    batch = ops.shape(boxes_norm)[0]
    table = ops.reshape(table, (-1, channels))
    image_start = ops.reshape(ops.arange(batch, dtype="int32") * cells, (-1, 1)) + start

    def corner(rows: Tensor, columns: Tensor) -> Tensor:
        index = (
            image_start[..., None, None] + rows[..., :, None] * width[..., None, None] + columns[..., None, :]
        )
        return ops.reshape(
            ops.take(table, ops.reshape(index, (-1,)), axis=0), (-1, num_rois, pool_size, pool_size, channels)
        )

    dtype = features[0].dtype
    y_weight = ops.cast(y_weight, dtype)[..., :, None, None]
    x_weight = ops.cast(x_weight, dtype)[..., None, :, None]
    top_left, bottom_left = corner(top, left), corner(bottom, left)
    upper = top_left + (corner(top, right) - top_left) * x_weight
    lower = bottom_left + (corner(bottom, right) - bottom_left) * x_weight
    inside = ops.logical_and(y_inside[..., :, None, None], x_inside[..., None, :, None])
    return ops.where(inside, upper + (lower - upper) * y_weight, ops.zeros((), dtype))


def _samples(low: Tensor, high: Tensor, size: Tensor, bins: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Along one axis: neighbours before and after each sample, weight of the latter, whether inside the map.

    Args:
        low, high: [B, R], normalised box edges.
        size: int32 [B, R], cells of the map.
        bins: samples, from edge to edge.

    Returns:
        int32, int32, float32, bool, all [B, R, bins].
    """
    last = ops.cast(size - 1, "float32")
    # A divisor that no compiler knows: XLA and LiteRT would multiply by the rounded reciprocal of a constant, and that
    # one rounding decides whether the last sample of a RoI at the border lies inside.
    step = (high - low) * last / ops.where(last >= 0.0, float(bins - 1), 1.0)
    position = (low * last)[..., None] + ops.arange(bins, dtype="float32") * step[..., None]
    inside = ops.logical_and(position >= 0.0, position <= last[..., None])
    position = ops.clip(position, 0.0, last[..., None])
    before = ops.floor(position)
    after = ops.minimum(before + 1.0, last[..., None])
    before_index, after_index = (
        ops.clip(ops.cast(index, "int32"), 0, size[..., None] - 1) for index in (before, after)
    )
    return before_index, after_index, position - before, inside
