"""A 28 x 28 mask per class of each RoI (Mask R-CNN, figure 4 right)."""

from __future__ import annotations

import keras
from keras import layers

from fashionseg.model.layers import BatchNorm, conv, relu


def build_mask_head(
    pool_size: int, in_channels: int, channels: int, num_classes: int, batch_norm: BatchNorm
) -> keras.Model:
    """Pooled features [N, pool, pool, in_channels] -> mask logits [N, 2 * pool, 2 * pool, K].

    A second input, bool [N, 1, 1], names the real rows: padding rows stay out of the batch statistics.
    """
    pooled = keras.Input((pool_size, pool_size, in_channels), name="pooled")
    is_real = keras.Input((1, 1), dtype="bool", name="is_real")
    x = pooled
    for number in (1, 2, 3, 4):
        x = conv(x, channels, 3, f"mrcnn_mask_conv{number}")
        x = relu(batch_norm(x, f"mrcnn_mask_bn{number}", mask=is_real), f"mrcnn_mask_relu{number}")
    x = layers.Conv2DTranspose(
        channels, 2, strides=2, activation="relu", kernel_initializer="he_normal", name="mrcnn_mask_deconv"
    )(x)
    x = conv(x, num_classes, 1, "mrcnn_mask", kernel_initializer="glorot_uniform")
    logits = layers.Activation("linear", name="mrcnn_mask_logits", dtype="float32")(x)
    return keras.Model([pooled, is_real], logits, name="mask_head")
