"""Head of the region proposal network (Faster R-CNN, section 3.1), shared by all pyramid levels."""

from __future__ import annotations

import keras
from keras import layers, ops

from fashionseg.model.layers import conv_as_product
from fashionseg.ops.boxes import Tensor
from fashionseg.ops.patches import patches_at_cells

_SHARED, _CLASSES, _BOXES = "rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"


class RPNHead(keras.Model):
    """One level [B, h, w, C] -> class logits [B, h * w * n, 2] (background, object) and deltas [B, h * w * n, 4].

    Rows are in the order of `ops.anchors.pyramid_anchors`; deltas are divided by `rpn.box_std`.

    Args:
        in_channels: C.
        channels: of the shared convolutions.
        anchors_per_cell: n.
        anchor_stride: of the first convolution.
        num_convs: 3 x 3 convolutions before the two 1 x 1 ones.
    """

    def __init__(
        self, in_channels: int, channels: int, anchors_per_cell: int, anchor_stride: int, num_convs: int = 1
    ) -> None:
        features = keras.Input((None, None, in_channels), name="input_rpn_feature_map")
        x = features
        for number in range(num_convs):
            name = _SHARED if number == 0 else f"{_SHARED}{number + 1}"
            strides = anchor_stride if number == 0 else 1
            x = layers.Conv2D(
                channels,
                3,
                strides=strides,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=name,
            )(x)
        outputs = []
        small = keras.initializers.RandomNormal(stddev=0.01)
        for name, values, output in ((_CLASSES, 2, "rpn_class_logits"), (_BOXES, 4, "rpn_bbox")):
            y = layers.Conv2D(values * anchors_per_cell, 1, kernel_initializer=small, name=name)(x)
            # Logits and deltas leave in float32 whatever the compute type: their softmax and exponent need it.
            outputs.append(layers.Reshape((-1, values), name=output, dtype="float32")(y))
        super().__init__(features, outputs, name="rpn_model")

    def at_anchors(self, pyramid: list[Tensor], anchors: Tensor) -> tuple[Tensor, Tensor]:
        """The head's outputs at some anchors, equal to those rows of its outputs on whole maps.

        The losses count 256 anchors (Faster R-CNN, section 3.1.3) of 65,472 at 512 px, and proposals have no gradient.
        With this, the backward pass of the last 3 x 3 convolution, 15 % of a training step (ResNet-50, 512 px), covers
        the neighbourhoods of those anchors only.

        Args:
            pyramid: P2 to P6, [B, h, w, C] each.
            anchors: int32 [B, M], numbers in the order of `ops.anchors.pyramid_anchors`.

        Returns:
            class logits [B, M, 2] and deltas [B, M, 4], float32.
        """
        *before, last = [layer for layer in self.layers if layer.name.startswith(_SHARED)]
        maps = pyramid
        for layer in before:
            maps = [layer(level) for level in maps]
        classes, boxes = self.get_layer(_CLASSES), self.get_layer(_BOXES)
        per_cell = classes.filters // 2
        patches = patches_at_cells(maps, anchors // per_cell, last.kernel_size[0], last.strides[0])
        x = ops.relu(conv_as_product(last, ops.reshape(patches, (-1, patches.shape[-1]))))

        def of_anchors(layer: layers.Conv2D) -> Tensor:
            """[B, M, 2 or 4]: the rows of `anchors`."""
            values = ops.cast(conv_as_product(layer, x), "float32")
            values = ops.reshape(values, (-1, anchors.shape[1], per_cell, layer.filters // per_cell))
            return ops.take_along_axis(values, (anchors % per_cell)[..., None, None], axis=2)[:, :, 0]

        return of_anchors(classes), of_anchors(boxes)
