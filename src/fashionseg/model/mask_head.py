"""A 28 x 28 mask per class of each RoI (Mask R-CNN, figure 4 right)."""

from __future__ import annotations

import keras
from keras import layers, ops

from fashionseg.model.layers import BatchNorm, conv, find_layer, relu
from fashionseg.ops.boxes import Tensor


def build_mask_head(
    pool_size: int, in_channels: int, channels: int, num_classes: int, batch_norm: BatchNorm
) -> keras.Model:
    """Pooled features [N, pool, pool, in_channels] -> features [N, 2 * pool, 2 * pool, channels], logits [.., K].

    A second input, bool [N, 1, 1], names the real rows: padding rows stay out of the batch statistics.
    """
    pooled = keras.Input((pool_size, pool_size, in_channels), name="pooled")
    is_real = keras.Input((1, 1), dtype="bool", name="is_real")
    x = pooled
    for number in (1, 2, 3, 4):
        names = f"mrcnn_mask_conv{number}", f"mrcnn_mask_bn{number}"
        x = relu(batch_norm.conv(x, channels, 3, *names, mask=is_real), f"mrcnn_mask_relu{number}")
    features = layers.Conv2DTranspose(
        channels, 2, strides=2, activation="relu", kernel_initializer="he_normal", name="mrcnn_mask_deconv"
    )(x)
    x = conv(features, num_classes, 1, "mrcnn_mask", kernel_initializer="glorot_uniform")
    logits = layers.Activation("linear", name="mrcnn_mask_logits", dtype="float32")(x)
    return keras.Model([pooled, is_real], [features, logits], name="mask_head")


def logits_of_class(mask_head: keras.Model, features: Tensor, classes: Tensor) -> Tensor:
    """The logits of one class of each RoI, without those of the other classes, which nobody reads.

    Args:
        mask_head: of `build_mask_head`.
        features: its first output, [B, R, h, w, channels].
        classes: int [B, R].

    Returns:
        float32 [B, R, h, w].
    """
    last = find_layer(mask_head, "mrcnn_mask")
    height, width, channels = features.shape[2:]
    columns = ops.take(ops.transpose(last.kernel[0, 0]), classes, axis=0)  # [B, R, channels]
    pixels = ops.reshape(features, (-1, classes.shape[1], height * width, channels))
    logits = ops.matmul(pixels, ops.cast(columns, features.dtype)[..., None])
    logits = ops.reshape(logits, (-1, classes.shape[1], height, width))
    return ops.cast(logits, "float32") + ops.take(last.bias, classes)[..., None, None]
