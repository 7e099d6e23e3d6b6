"""Random numbers as a function of seed and position: the same on any device, in any share of a batch.

A generator with a state would give each of several devices its own numbers; these depend on the photo alone, so a batch
is sampled alike on one device and on eight, and an interrupted training has no generator to restore.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor

_MANTISSA_BITS = 24  # of float32: larger whole numbers do not fit


def uniform_noise(seeds: Tensor, count: int, stream: int) -> Tensor:
    """Uniform in [0, 1), multiples of 2^-24.

    Args:
        seeds: uint32 [B].
        count: N, numbers for each seed.
        stream: another one gives independent numbers for the same seeds.

    Returns:
        float32 [B, N].
    """
    keys = _mix(
        _mix(ops.cast(seeds, "uint32")) + np.uint32(stream)
    )  # inside, a stream would be a seed shifted by it
    positions = _mix(ops.convert_to_tensor(np.arange(1, count + 1, dtype=np.uint32)))
    bits = _mix(ops.bitwise_xor(keys[:, None], positions[None, :]))
    high = ops.cast(ops.right_shift(bits, np.uint32(32 - _MANTISSA_BITS)), "float32")
    return high * np.float32(2.0**-_MANTISSA_BITS)


def _mix(x: Tensor) -> Tensor:
    """The finaliser of MurmurHash3 (Appleby 2011): every bit of uint32 `x` changes half of the bits."""
    x = ops.bitwise_xor(x, ops.right_shift(x, np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = ops.bitwise_xor(x, ops.right_shift(x, np.uint32(13))) * np.uint32(0xC2B2AE35)
    return ops.bitwise_xor(x, ops.right_shift(x, np.uint32(16)))
