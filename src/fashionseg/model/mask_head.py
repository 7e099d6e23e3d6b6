"""A 28 x 28 mask per class of each RoI (Mask R-CNN, figure 4 right), or one mask for all classes (section 4.2)."""

from __future__ import annotations

import keras
from keras import layers, ops

from fashionseg.model.layers import BatchNorm, conv, relu
from fashionseg.ops.boxes import Tensor

_LAST = "mrcnn_mask"


class MaskHead(keras.Model):
    """Pooled features [N, pool, pool, C] -> features [N, 2 * pool, 2 * pool, channels], logits [.., L].

    L is the number of classes K, or 1 for a class-agnostic head: one mask whatever the class.
    A second input, bool [N, 1, 1], marks the real rows: padding rows stay out of the batch statistics.
    """

    def __init__(
        self,
        pool_size: int,
        in_channels: int,
        channels: int,
        num_classes: int,
        batch_norm: BatchNorm,
        class_agnostic: bool = False,
    ) -> None:
        pooled = keras.Input((pool_size, pool_size, in_channels), name="pooled")
        is_real = keras.Input((1, 1), dtype="bool", name="is_real")
        x = pooled
        for number in (1, 2, 3, 4):
            names = f"mrcnn_mask_conv{number}", f"mrcnn_mask_bn{number}"
            x = relu(batch_norm.conv(x, channels, 3, *names, mask=is_real), f"mrcnn_mask_relu{number}")
        features = layers.Conv2DTranspose(
            channels,
            2,
            strides=2,
            activation="relu",
            kernel_initializer="he_normal",
            name="mrcnn_mask_deconv",
        )(x)
        x = conv(
            features, 1 if class_agnostic else num_classes, 1, _LAST, kernel_initializer="glorot_uniform"
        )
        logits = layers.Activation("linear", name="mrcnn_mask_logits", dtype="float32")(x)
        super().__init__([pooled, is_real], [features, logits], name="mask_head")
        self.class_agnostic = class_agnostic

    def logits_of_class(self, features: Tensor, classes: Tensor) -> Tensor:
        """Logits of one class per RoI; those of the other classes are never computed.

        Args:
            features: first output of the head, [B, R, h, w, channels].
            classes: int [B, R]; ignored by a class-agnostic head.

        Returns:
            float32 [B, R, h, w].
        """
        last = self.get_layer(_LAST)
        if self.class_agnostic:
            classes = ops.zeros_like(classes)
        height, width, channels = features.shape[2:]
        columns = ops.take(ops.transpose(last.kernel[0, 0]), classes, axis=0)  # [B, R, channels]
        pixels = ops.reshape(features, (-1, classes.shape[1], height * width, channels))
        logits = ops.matmul(pixels, ops.cast(columns, features.dtype)[..., None])
        logits = ops.reshape(logits, (-1, classes.shape[1], height, width))
        return ops.cast(logits, "float32") + ops.take(last.bias, classes)[..., None, None]
