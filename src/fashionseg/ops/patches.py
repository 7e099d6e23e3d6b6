"""Neighbourhoods of a few cells of feature maps, so that a convolution can run at those cells alone."""

from __future__ import annotations

import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor
from fashionseg.ops.gather import take_rows


def patches_at_cells(maps: list[Tensor], cells: Tensor, size: int, stride: int) -> Tensor:
    """What a `size` x `size` convolution with "same" padding reads for some of its output cells.

    Args:
        maps: [B, h, w, C] each.
        cells: int32 [B, M], numbers of output cells, map after map, row by row.
        size, stride: of the convolution.

    Returns:
        [B, M, size * size * C], zeros where the convolution reads padding.
    """
    shapes = [(level.shape[1], level.shape[2]) for level in maps]
    channels, num_cells = maps[0].shape[-1], cells.shape[1]
    sources, inside = _sources(shapes, size, stride)
    table = ops.concatenate(
        [ops.reshape(level, (-1, h * w, channels)) for level, (h, w) in zip(maps, shapes, strict=True)],
        axis=1,
    )
    index = ops.take(ops.convert_to_tensor(sources), cells, axis=0)  # [B, M, size * size]
    patches = take_rows(table, ops.reshape(index, (-1, num_cells * size * size)))
    patches = ops.reshape(patches, (-1, num_cells, size * size, channels))
    is_inside = ops.take(ops.convert_to_tensor(inside), cells, axis=0)
    patches = ops.where(is_inside[..., None], patches, ops.zeros((), patches.dtype))
    return ops.reshape(patches, (-1, num_cells, size * size * channels))


def _sources(shapes: list[tuple[int, int]], size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Input cells of each output cell.

    Returns:
        int32 [cells, size * size], numbers of input cells over all maps, and bool of that shape: inside the map. A cell
        outside has the number of the nearest one inside.
    """
    numbers, insides, start = [], [], 0
    for height, width in shapes:
        (rows, row_inside), (columns, column_inside) = (
            _axis_sources(length, size, stride) for length in (height, width)
        )
        number = start + rows[:, None, :, None] * width + columns[None, :, None, :]
        inside = row_inside[:, None, :, None] & column_inside[None, :, None, :]
        numbers.append(number.reshape(-1, size * size))
        insides.append(inside.reshape(-1, size * size))
        start += height * width
    return np.concatenate(numbers).astype(np.int32), np.concatenate(insides)


def _axis_sources(length: int, size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: int [outputs, size] clipped to the axis, and bool: inside before clipping."""
    outputs = -(-length // stride)
    before = max((outputs - 1) * stride + size - length, 0) // 2
    places = np.arange(outputs)[:, None] * stride - before + np.arange(size)
    clipped = places.clip(0, length - 1)
    return clipped, clipped == places
