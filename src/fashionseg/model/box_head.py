"""Class and box of each RoI (Matterport's `fpn_classifier_graph`)."""

from __future__ import annotations

import keras
from keras import layers, ops

from fashionseg.model.layers import BatchNorm, relu
from fashionseg.ops.boxes import Tensor


class BoxHead(keras.Model):
    """Pooled features [N, pool, pool, C] -> class logits [N, K], deltas [N, L, 4].

    L is the number of classes K, or 1 for a class-agnostic head: one refined box whatever the class.
    With `geometry_size` E, an input [N, E] follows, of what else is known of an RoI.
    The last input, bool [N, 1, 1], marks the real rows: padding rows stay out of the batch statistics.
    """

    def __init__(
        self,
        pool_size: int,
        in_channels: int,
        channels: int,
        num_classes: int,
        batch_norm: BatchNorm,
        class_agnostic: bool = False,
        geometry_size: int = 0,
        name: str = "box_head",
    ) -> None:
        pooled = keras.Input((pool_size, pool_size, in_channels), name="pooled")
        is_real = keras.Input((1, 1), dtype="bool", name="is_real")
        x = pooled
        for number, size in ((1, pool_size), (2, 1)):
            names = f"mrcnn_class_conv{number}", f"mrcnn_class_bn{number}"
            x = batch_norm.conv(x, channels, size, *names, padding="valid", mask=is_real)
            x = relu(x, f"mrcnn_class_relu{number}")
        shared = layers.Reshape((channels,), name="pool_squeeze")(x)
        inputs = [pooled, is_real]
        if geometry_size:
            geometry = keras.Input((geometry_size,), name="geometry")
            inputs.insert(1, geometry)
            hidden = layers.Dense(channels, activation="relu", name="geometry_hidden")(geometry)
            added = layers.Dense(
                channels, use_bias=False, kernel_initializer="zeros", name="geometry_projection"
            )(hidden)
            shared = layers.Add(name="with_geometry")([shared, added])
        logits = layers.Dense(num_classes, name="mrcnn_class_logits", dtype="float32")(shared)
        small = keras.initializers.RandomNormal(stddev=0.001)
        boxes = 1 if class_agnostic else num_classes
        deltas = layers.Dense(4 * boxes, kernel_initializer=small, name="mrcnn_bbox_fc", dtype="float32")(
            shared
        )
        deltas = layers.Reshape((boxes, 4), name="mrcnn_bbox", dtype="float32")(deltas)
        super().__init__(inputs, [logits, deltas], name=name)
        self.class_agnostic, self.takes_geometry = class_agnostic, geometry_size > 0


def run_head(
    head: keras.Model, inputs: Tensor | list[Tensor], is_real: Tensor, training: bool | None
) -> list[Tensor]:
    """Runs a head made for [N, ...] on one or several inputs [B, R, ...]; `is_real` is bool [B, R]."""
    inputs = inputs if isinstance(inputs, list) else [inputs]
    num_rois = inputs[0].shape[1]
    flat = [ops.reshape(values, (-1, *values.shape[2:])) for values in inputs]
    outputs = head([*flat, ops.reshape(is_real, (-1, 1, 1))], training=training)
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [ops.reshape(output, (-1, num_rois, *output.shape[1:])) for output in outputs]
