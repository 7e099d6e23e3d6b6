"""Anchors of the region proposal network (Faster R-CNN, section 3.1.1; one scale a level as in FPN, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BACKBONE_STRIDES = (4, 8, 16, 32, 64)  # P2 to P6


def pyramid_anchors(
    image_shape: tuple[int, int],
    scales: Sequence[float],
    ratios: Sequence[float],
    anchor_stride: int,
    strides: Sequence[int] = BACKBONE_STRIDES,
) -> np.ndarray:
    """All anchors, level by level, then by row, column and ratio.

    Args:
        image_shape: (height, width) of the network's input.
        scales: side of the square anchor of each level, in pixels.
        ratios: width / height.
        anchor_stride: 1 puts anchors on every cell of a map, 2 on every second one.
        strides: pixels per cell of each level.

    Returns:
        float64 [A, 4] in pixels; some reach outside the image. Centres are at `cell * stride`, without
        half a pixel of offset.
    """
    levels = []
    for scale, stride in zip(scales, strides, strict=True):
        shape = tuple(math.ceil(side / stride) for side in image_shape)
        levels.append(_level_anchors(shape, scale, ratios, stride, anchor_stride))
    return np.concatenate(levels)


def normalise_anchors(anchors: np.ndarray, image_shape: tuple[int, int]) -> np.ndarray:
    """As `boxes.normalise`, but computed in float64 as Matterport computes its anchors: float32 [A, 4]."""
    height, width = image_shape
    scale = np.array([height - 1, width - 1, height - 1, width - 1], np.float64)
    return ((anchors - [0, 0, 1, 1]) / scale).astype(np.float32)


def _level_anchors(
    shape: tuple[int, ...], scale: float, ratios: Sequence[float], stride: int, anchor_stride: int
) -> np.ndarray:
    root = np.sqrt(np.asarray(ratios, np.float64))
    sizes = np.stack([scale / root, scale * root], axis=-1)  # [ratios, (height, width)]
    rows = np.arange(0, shape[0], anchor_stride) * stride
    columns = np.arange(0, shape[1], anchor_stride) * stride
    centers = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 1, 2)
    return np.concatenate([centers - 0.5 * sizes, centers + 0.5 * sizes], axis=-1).reshape(-1, 4)
