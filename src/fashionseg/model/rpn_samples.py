"""The RPN's head at the few anchors that its losses look at.

The losses count 256 anchors of an image (Faster R-CNN, section 3.1.3) out of 65,472 at 512 px, and proposals have no
gradient. So the head runs over whole maps without a gradient, and once more, with one, on the neighbourhoods of these
anchors alone: the same losses and gradients, less the backward pass of its 3 x 3 convolution over five levels, some
15 % of a training step (ResNet-50, 512 px).
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor
from fashionseg.ops.gather import take_rows


def rpn_at_anchors(rpn_head: keras.Model, pyramid: list[Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
    """What `rpn_head` says on the pyramid, at some anchors only.

    Args:
        rpn_head: of `rpn.build_rpn_head`.
        pyramid: P2 to P6, [B, h, w, C] each.
        rows: int32 [B, M], numbers of anchors in the order of `ops.anchors.pyramid_anchors`.

    Returns:
        class logits [B, M, 2] and deltas [B, M, 4], float32.
    """
    shared, classes, boxes = (
        rpn_head.get_layer(name) for name in ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")
    )
    shapes = [(level.shape[1], level.shape[2]) for level in pyramid]
    neighbours, inside = _neighbours(shapes, shared.kernel_size[0], shared.strides[0])
    anchors_per_cell = classes.filters // 2
    cells, places = rows // anchors_per_cell, rows % anchors_per_cell

    channels = pyramid[0].shape[-1]
    table = ops.concatenate(
        [ops.reshape(level, (-1, h * w, channels)) for level, (h, w) in zip(pyramid, shapes, strict=True)],
        axis=1,
    )
    size = neighbours.shape[1]
    index = ops.take(ops.convert_to_tensor(neighbours), cells, axis=0)  # [B, M, 9]
    patches = take_rows(table, ops.reshape(index, (-1, rows.shape[1] * size)))
    patches = ops.reshape(patches, (-1, rows.shape[1], size, channels))
    is_inside = ops.take(ops.convert_to_tensor(inside), cells, axis=0)
    patches = ops.where(is_inside[..., None], patches, ops.zeros((), patches.dtype))

    x = ops.relu(_matrix_product(shared, ops.reshape(patches, (-1, size * channels))))

    def of_anchors(layer: keras.layers.Conv2D) -> Tensor:
        """[B, M, 2 or 4]: of all the anchors of a cell the one in question."""
        values = ops.cast(_matrix_product(layer, x), "float32")
        values = ops.reshape(values, (-1, rows.shape[1], anchors_per_cell, layer.filters // anchors_per_cell))
        return ops.take_along_axis(values, places[..., None, None], axis=2)[:, :, 0]

    return of_anchors(classes), of_anchors(boxes)


def _matrix_product(layer: keras.layers.Conv2D, x: Tensor) -> Tensor:
    """The convolution at single cells: x [N, size * size * C] -> [N, filters]."""
    kernel = ops.reshape(ops.cast(layer.kernel, x.dtype), (-1, layer.filters))
    return ops.add(ops.matmul(x, kernel), ops.cast(layer.bias, x.dtype))


def _neighbours(shapes: list[tuple[int, int]], size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a convolution with padding "same" reads, cell by cell of its outputs, level after level.

    Args:
        shapes: (h, w) of the input maps.
        size, stride: of the convolution.

    Returns:
        int32 and bool [cells, size * size]: numbers of the cells of all input maps behind each other, row by row, and
        whether they lie inside their map (the others are padding, and their number is that of some cell inside).
    """
    numbers, insides, start = [], [], 0
    for height, width in shapes:
        (rows, row_inside), (columns, column_inside) = (
            _reads(length, size, stride) for length in (height, width)
        )
        number = start + rows[:, None, :, None] * width + columns[None, :, None, :]
        inside = row_inside[:, None, :, None] & column_inside[None, :, None, :]
        numbers.append(number.reshape(-1, size * size))
        insides.append(inside.reshape(-1, size * size))
        start += height * width
    return np.concatenate(numbers).astype(np.int32), np.concatenate(insides)


def _reads(length: int, size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: int [outputs, size], clipped to the axis, and bool whether inside before."""
    outputs = -(-length // stride)
    before = max((outputs - 1) * stride + size - length, 0) // 2
    places = np.arange(outputs)[:, None] * stride - before + np.arange(size)
    clipped = places.clip(0, length - 1)
    return clipped, clipped == places
