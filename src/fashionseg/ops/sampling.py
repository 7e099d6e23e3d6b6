"""Choosing a limited number of candidates at random, with static shapes."""

from __future__ import annotations

from keras import ops

from fashionseg.ops.boxes import Tensor


def limit(candidates: Tensor, priorities: Tensor, max_count: int) -> Tensor:
    """Of the True entries the `max_count` of highest priority.

    Args:
        candidates: bool [B, N].
        priorities: [B, N], distinct values in [0, 1) (uniform noise, or a falling ramp for "the first ones").
        max_count: at most so many stay True per row.

    Returns:
        bool [B, N].
    """
    num = candidates.shape[1]
    if max_count >= num:
        return candidates
    if max_count <= 0:
        return ops.zeros_like(candidates)
    keys = ops.where(candidates, priorities, -1.0)
    smallest_kept = ops.top_k(keys, k=max_count)[0][:, -1:]
    return ops.logical_and(candidates, keys >= smallest_kept)


def first_in_order(batch: Tensor, num: int) -> Tensor:
    """Priorities [batch, num] that make `limit` keep the first candidates: no randomness, for comparisons."""
    ramp = 1.0 - ops.cast(ops.arange(num), "float32") / num
    return ops.broadcast_to(ramp, (batch, num))
