"""EfficientNet-Lite0 and -Lite2: EfficientNet (Tan & Le 2019, table 1) without squeeze-and-excitation, with ReLU6.

Lite variants scale neither the stem nor the number of blocks of the first and the last stage. Convolutions have no
bias, padding is TensorFlow's `same`, and the maps C2 to C5 are the last ones of strides 4, 8, 16 and 32.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import keras

from fashionseg.model.backbones.backbone import Backbone
from fashionseg.model.layers import BatchNorm, relu6
from fashionseg.ops.boxes import Tensor

PIXEL_MEAN, PIXEL_SCALE = (127.0, 127.0, 127.0), 1.0 / 128.0
STEM_CHANNELS = 32


class Stage(NamedTuple):
    """Blocks of the same width; the first one has the stride."""

    blocks: int
    channels: int
    size: int
    strides: int
    expansion: int


class Scaling(NamedTuple):
    """Factors on the channels and on the blocks of a stage."""

    width: float
    depth: float


VARIANTS = {"efficientnet_lite0": Scaling(1.0, 1.0), "efficientnet_lite2": Scaling(1.1, 1.2)}
_STAGES = (
    Stage(1, 16, size=3, strides=1, expansion=1),
    Stage(2, 24, size=3, strides=2, expansion=6),
    Stage(2, 40, size=5, strides=2, expansion=6),
    Stage(3, 80, size=3, strides=2, expansion=6),
    Stage(3, 112, size=5, strides=1, expansion=6),
    Stage(4, 192, size=5, strides=2, expansion=6),
    Stage(1, 320, size=3, strides=1, expansion=6),
)
_LAST_OF_C2_TO_C5 = (1, 2, 4, 6)


def build(name: str, image_size: int, batch_norm: BatchNorm) -> Backbone:
    """The backbone; arguments as of `build_backbone`."""
    images = keras.Input((image_size, image_size, 3), name="input_image")
    stem = x = relu6(
        batch_norm.conv(images, STEM_CHANNELS, 3, "stem_conv", "stem_bn", strides=2, bias=False),
        "stem_relu",
    )
    maps, number = [], 0
    for place, stage in enumerate(scaled_stages(name)):
        for block in range(stage.blocks):
            strides = stage.strides if block == 0 else 1
            x = _inverted_bottleneck(x, f"block{number}", stage, strides, batch_norm)
            number += 1
        if place in _LAST_OF_C2_TO_C5:
            maps.append(x)
    network = keras.Model(images, maps, name="backbone")
    return Backbone(network, stem, PIXEL_MEAN, PIXEL_SCALE)


def scaled_stages(name: str) -> list[Stage]:
    """The stages of a variant."""
    width, depth = VARIANTS[name]
    last = len(_STAGES) - 1
    return [
        stage._replace(
            channels=_multiple_of_8(stage.channels * width),
            blocks=stage.blocks if place in (0, last) else math.ceil(stage.blocks * depth),
        )
        for place, stage in enumerate(_STAGES)
    ]


def _multiple_of_8(channels: float) -> int:
    """The nearest multiple, but not below nine tenths."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _inverted_bottleneck(x: Tensor, name: str, stage: Stage, strides: int, batch_norm: BatchNorm) -> Tensor:
    """Expansion, depthwise convolution, projection without activation, and the identity where shapes allow it."""
    in_channels = x.shape[-1]
    y = x
    if stage.expansion > 1:
        channels = in_channels * stage.expansion
        y = batch_norm.conv(y, channels, 1, f"{name}_expand_conv", f"{name}_expand_bn", bias=False)
        y = relu6(y, f"{name}_expand_relu")
    y = batch_norm.depthwise(y, stage.size, f"{name}_depthwise_conv", f"{name}_depthwise_bn", strides)
    y = relu6(y, f"{name}_depthwise_relu")
    y = batch_norm.conv(y, stage.channels, 1, f"{name}_project_conv", f"{name}_project_bn", bias=False)
    if strides == 1 and in_channels == stage.channels:
        y = keras.layers.Add(name=f"{name}_add")([y, x])
    return y
