"""The network's convolutions and matrix products alone: a lower bound for a step of any implementation.

Same shapes, weights, optimizer and number of RoIs. Without batch norm, activations, proposals, matching, RoIAlign,
detections and losses. Additions, pooling and upsampling stay, because they determine the shapes.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from fashionseg.model.layers import ConvNorm
from fashionseg.model.mask_rcnn import MaskRCNN, pool_size_of
from fashionseg.ops.boxes import Tensor

Batch = dict[str, Tensor]


class LayersAlone(keras.Model):
    """Copies of the layers with weights of `network`.

    Args:
        network: source of the layers.
        rois: rows of the box head per image.
        mask_rois: rows of the mask head per image.
    """

    def __init__(self, network: MaskRCNN, rois: int, mask_rois: int) -> None:
        super().__init__(name="layers_alone")
        self.rois, self.mask_rois = rois, mask_rois
        self.pool_sizes = pool_size_of(network.box_head), pool_size_of(network.mask_head)
        parts = (network.backbone, network.fpn, network.rpn_head, network.box_head, network.mask_head)
        self.parts = [strip(part) for part in parts]
        self.built = True

    def call(self, batch: Batch, training: bool = False) -> list[Tensor]:
        """Takes a batch of the loader, in training with one loss that needs the gradient of every layer, or images.

        The heads see constants plus a number from the pyramid, so that their first layer computes the gradient of its
        input, as after RoIAlign, but nothing is gathered.
        """
        backbone, fpn, rpn_head, box_head, mask_head = self.parts
        images = ops.cast(batch["images"], "float32")
        num_images = images.shape[0] or ops.shape(images)[0]
        pyramid = fpn(backbone(images, training=training), training=training)
        outputs = [output for level in pyramid for output in rpn_head(level, training=training)]
        some = ops.mean(pyramid[0][:, :1, :1])
        for head, rows, side in zip(
            (box_head, mask_head), (self.rois, self.mask_rois), self.pool_sizes, strict=True
        ):
            rows = rows * num_images
            pooled = ops.ones((rows, side, side, pyramid[0].shape[-1]), dtype=some.dtype) + some
            output = head([pooled, ops.ones((rows, 1, 1), dtype="bool")], training=training)
            outputs += output if isinstance(output, list) else [output]
        if training:
            self.add_loss(sum(ops.mean(ops.cast(output, "float32")) for output in outputs))
            return outputs[:1]
        # Every output is used, or the compiler might drop its layers; one number each is returned.
        return [ops.mean(ops.cast(output, "float32"), keepdims=True) for output in outputs]


def strip(part: keras.Model) -> keras.Model:
    """A copy without batch norms and activations; its layers have their own weights."""
    return keras.models.clone_model(part, clone_function=_strip_layer)


def _strip_layer(layer: layers.Layer) -> layers.Layer:
    if isinstance(layer, layers.Activation):
        return Nothing(name=layer.name, dtype=layer.dtype_policy)
    if isinstance(layer, ConvNorm):
        return ConvAlone.from_config(layer.conv.get_config())
    config = layer.get_config()
    if "activation" in config:
        config["activation"] = "linear"
    return layer.__class__.from_config(config)


class ConvAlone(layers.Conv2D):
    """A convolution in place of a convolution with normalisation."""

    def call(self, inputs: Tensor, mask: Any = None, training: bool | None = None) -> Tensor:
        return super().call(inputs)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> None:
        return None


class Nothing(layers.Layer):
    """Identity, in place of an activation."""

    supports_masking = True

    def call(self, inputs: Tensor, mask: Any = None, training: bool | None = None) -> Tensor:
        return inputs

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> None:
        return None
