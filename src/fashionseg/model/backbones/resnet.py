"""ResNet-50 and -101 (He et al. 2015, table 1) with the stride in the first 1 x 1 convolution of a stage.

ResNet-14 and -26 are the same network with fewer blocks, for small runs on a CPU.
"""

from __future__ import annotations

import keras
from keras import layers

from fashionseg.model.backbones.backbone import Backbone
from fashionseg.model.layers import BatchNorm, relu
from fashionseg.ops.boxes import Tensor

BLOCKS_PER_STAGE = {
    "resnet14": (1, 1, 1, 1),
    "resnet26": (2, 2, 2, 2),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
}
FIRST_STAGE = 2
PIXEL_MEAN = (123.7, 116.8, 103.9)  # RGB, which Matterport's weights expect subtracted


def build(name: str, image_size: int, width: int, batch_norm: BatchNorm) -> Backbone:
    """The backbone; C2 has 4 times `width` channels, C5 32 times. Arguments as of `build_backbone`."""
    images = keras.Input((image_size, image_size, 3), name="input_image")
    x = layers.ZeroPadding2D(3, name="conv1_pad")(images)
    x = batch_norm.conv(x, width, 7, "conv1", "bn_conv1", strides=2, padding="valid")
    stem = x = relu(x, "conv1_relu")
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="conv1_pool")(x)
    maps = []
    for stage, num_blocks in enumerate(BLOCKS_PER_STAGE[name], start=FIRST_STAGE):
        channels = width * 2 ** (stage - FIRST_STAGE)
        for block in range(num_blocks):
            strides = 2 if block == 0 and stage > FIRST_STAGE else 1
            x = _bottleneck(x, f"{stage}{chr(ord('a') + block)}", channels, strides, block == 0, batch_norm)
        maps.append(x)
    network = keras.Model(images, maps, name="backbone")
    return Backbone(network, stem, PIXEL_MEAN, pixel_scale=1.0)


def _bottleneck(
    x: Tensor, place: str, channels: int, strides: int, is_first: bool, batch_norm: BatchNorm
) -> Tensor:
    """1 x 1, 3 x 3, 1 x 1 convolutions plus a shortcut; the first block of a stage projects its shortcut."""

    def branch(
        x: Tensor, name: str, channels: int, size: int, strides: int = 1, gamma: str = "ones"
    ) -> Tensor:
        names = f"res{place}_branch{name}", f"bn{place}_branch{name}"
        return batch_norm.conv(x, channels, size, *names, strides=strides, gamma=gamma)

    y = relu(branch(x, "2a", channels, 1, strides), f"res{place}_branch2a_relu")
    y = relu(branch(y, "2b", channels, 3), f"res{place}_branch2b_relu")
    # Zero initialisation makes each block the identity at first (Goyal et al. 2017, section 5.1).
    y = branch(y, "2c", 4 * channels, 1, gamma="zeros")
    shortcut = branch(x, "1", 4 * channels, 1, strides) if is_first else x
    return relu(layers.Add(name=f"res{place}_add")([y, shortcut]), f"res{place}_out")
