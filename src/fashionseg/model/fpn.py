"""Feature pyramid network (Lin et al. 2017, section 3)."""

from __future__ import annotations

import keras
from keras import layers

from fashionseg.model.layers import conv
from fashionseg.ops.boxes import Tensor


def build_fpn(map_shapes: list[tuple[int, ...]], channels: int) -> keras.Model:
    """Maps C2 to C5 -> pyramid P2 to P6, [B, S / stride, S / stride, channels] each.

    P6 is every second cell of P5 and serves the RPN only.

    Args:
        map_shapes: (height, width, channels) of C2 to C5.
        channels: of each pyramid level.
    """
    inputs = [keras.Input(shape, name=f"C{level}") for level, shape in enumerate(map_shapes, start=2)]
    merged: Tensor = None
    levels = {}
    for level in (5, 4, 3, 2):
        lateral = _linear(inputs[level - 2], channels, 1, f"fpn_c{level}p{level}")
        if merged is None:
            merged = lateral
        else:
            above = layers.UpSampling2D(2, name=f"fpn_p{level + 1}upsampled")(merged)
            merged = layers.Add(name=f"fpn_p{level}add")([above, lateral])
        levels[level] = _linear(merged, channels, 3, f"fpn_p{level}")
    levels[6] = layers.MaxPooling2D(1, strides=2, name="fpn_p6")(levels[5])
    return keras.Model(inputs, [levels[level] for level in (2, 3, 4, 5, 6)], name="fpn")


def _linear(x: Tensor, channels: int, size: int, name: str) -> Tensor:
    """A convolution without activation."""
    return conv(x, channels, size, name, kernel_initializer="glorot_uniform")
