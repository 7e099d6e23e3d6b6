"""Rows by index."""

from __future__ import annotations

from keras import ops

from fashionseg.ops.boxes import Tensor


def take_rows(rows: Tensor, indices: Tensor) -> Tensor:
    """Of each image the rows with the given numbers.

    One flat gather: `take_along_axis` would transpose and widen the indices to every value of a row.

    Args:
        rows: [B, N, ...].
        indices: int32 [B, M], each in 0 to N - 1.

    Returns:
        [B, M, ...].
    """
    shape = rows.shape[2:]
    offsets = ops.arange(ops.shape(rows)[0], dtype="int32")[:, None] * rows.shape[1]
    flat = ops.take(ops.reshape(rows, (-1, *shape)), ops.reshape(indices + offsets, (-1,)), axis=0)
    return ops.reshape(flat, (-1, indices.shape[1], *shape))
