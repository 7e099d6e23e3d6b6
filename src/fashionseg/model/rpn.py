"""Region proposal network (Faster R-CNN, section 3.1): its head, shared by all levels, and its proposals."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from fashionseg.model.layers import conv
from fashionseg.ops.boxes import Tensor, apply_deltas, clip_boxes
from fashionseg.ops.gather import take_rows
from fashionseg.ops.nms import non_max_suppression

WHOLE_IMAGE_NORM = np.array([0, 0, 1, 1], np.float32)


def build_rpn_head(in_channels: int, channels: int, anchors_per_cell: int, anchor_stride: int) -> keras.Model:
    """One level [B, h, w, in_channels] -> class logits [B, h * w * n, 2] (background, object) and deltas [.., 4].

    The order of the rows is that of `ops.anchors.pyramid_anchors`; deltas are divided by `rpn_bbox_std_dev`.
    """
    features = keras.Input((None, None, in_channels), name="input_rpn_feature_map")
    shared = conv(features, channels, 3, "rpn_conv_shared", strides=anchor_stride, activation="relu")
    small = keras.initializers.RandomNormal(stddev=0.01)
    logits = conv(shared, 2 * anchors_per_cell, 1, "rpn_class_raw", kernel_initializer=small)
    deltas = conv(shared, 4 * anchors_per_cell, 1, "rpn_bbox_pred", kernel_initializer=small)
    # Logits and deltas leave in float32 whatever the compute type: their softmax and exponent need it.
    logits = layers.Reshape((-1, 2), name="rpn_class_logits", dtype="float32")(logits)
    deltas = layers.Reshape((-1, 4), name="rpn_bbox", dtype="float32")(deltas)
    return keras.Model(features, [logits, deltas], name="rpn_model")


class Proposals(layers.Layer):
    """The best boxes of the RPN: top scores, deltas applied, clipped to the image, overlaps suppressed.

    Args:
        bbox_std_dev: what the predicted deltas are multiplied with.
        pre_nms_limit: how many of the best anchors are looked at.
        nms_threshold: overlap above which the lower score goes.
    """

    def __init__(
        self,
        bbox_std_dev: tuple[float, ...],
        pre_nms_limit: int,
        nms_threshold: float,
        **options: object,
    ) -> None:
        super().__init__(trainable=False, dtype="float32", **options)
        self.bbox_std_dev = bbox_std_dev
        self.pre_nms_limit = pre_nms_limit
        self.nms_threshold = nms_threshold

    def call(self, scores: Tensor, deltas: Tensor, anchors_norm: Tensor, count: int) -> Tensor:
        """scores [B, A] of being an object, deltas [B, A, 4], anchors_norm [A, 4] -> boxes_norm [B, count, 4]."""
        scores, indices = ops.top_k(scores, k=min(self.pre_nms_limit, scores.shape[1]))
        deltas = take_rows(deltas, indices) * np.array(self.bbox_std_dev, np.float32)
        boxes = apply_deltas(ops.take(anchors_norm, indices, axis=0), deltas)
        boxes = clip_boxes(boxes, WHOLE_IMAGE_NORM)
        kept, valid = non_max_suppression(boxes, scores, self.nms_threshold, count)
        boxes = take_rows(boxes, kept)
        return ops.where(valid[..., None], boxes, 0.0)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "bbox_std_dev": self.bbox_std_dev,
            "pre_nms_limit": self.pre_nms_limit,
            "nms_threshold": self.nms_threshold,
        }
