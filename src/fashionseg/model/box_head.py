"""Class and box of each RoI (Matterport's `fpn_classifier_graph`)."""

from __future__ import annotations

import keras
from keras import layers, ops

from fashionseg.model.layers import BatchNorm, relu
from fashionseg.ops.boxes import Tensor


class BoxHead(keras.Model):
    """Pooled features [N, pool, pool, C] -> class logits [N, K], deltas [N, K, 4] of each class.

    A second input, bool [N, 1, 1], marks the real rows: padding rows stay out of the batch statistics.
    """

    def __init__(
        self, pool_size: int, in_channels: int, channels: int, num_classes: int, batch_norm: BatchNorm
    ) -> None:
        pooled = keras.Input((pool_size, pool_size, in_channels), name="pooled")
        is_real = keras.Input((1, 1), dtype="bool", name="is_real")
        x = pooled
        for number, size in ((1, pool_size), (2, 1)):
            names = f"mrcnn_class_conv{number}", f"mrcnn_class_bn{number}"
            x = batch_norm.conv(x, channels, size, *names, padding="valid", mask=is_real)
            x = relu(x, f"mrcnn_class_relu{number}")
        shared = layers.Reshape((channels,), name="pool_squeeze")(x)
        logits = layers.Dense(num_classes, name="mrcnn_class_logits", dtype="float32")(shared)
        small = keras.initializers.RandomNormal(stddev=0.001)
        deltas = layers.Dense(
            4 * num_classes, kernel_initializer=small, name="mrcnn_bbox_fc", dtype="float32"
        )(shared)
        deltas = layers.Reshape((num_classes, 4), name="mrcnn_bbox", dtype="float32")(deltas)
        super().__init__([pooled, is_real], [logits, deltas], name="box_head")


def run_head(head: keras.Model, pooled: Tensor, is_real: Tensor, training: bool | None) -> list[Tensor]:
    """Runs a head made for [N, ...] on [B, R, ...]; `is_real` is bool [B, R]."""
    num_rois = pooled.shape[1]
    flat = ops.reshape(pooled, (-1, *pooled.shape[2:]))
    outputs = head([flat, ops.reshape(is_real, (-1, 1, 1))], training=training)
    return [ops.reshape(output, (-1, num_rois, *output.shape[1:])) for output in outputs]
