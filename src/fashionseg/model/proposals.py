"""Proposals of the RPN (Faster R-CNN, section 3.1): its best boxes, overlaps suppressed."""

from __future__ import annotations

import numpy as np
from keras import layers, ops

from fashionseg.ops.boxes import Tensor, apply_deltas, clip_boxes
from fashionseg.ops.gather import take_rows
from fashionseg.ops.nms import non_max_suppression

WHOLE_IMAGE_NORM = np.array([0, 0, 1, 1], np.float32)


class Proposals(layers.Layer):
    """Top scores, deltas applied, clipped to the image, non-maximum suppression.

    Args:
        box_std: factor of the predicted deltas.
        pre_nms_top_k: anchors of highest score that are considered.
        nms_threshold: IoU above which the box of lower score is suppressed.
    """

    def __init__(
        self,
        box_std: tuple[float, ...],
        pre_nms_top_k: int,
        nms_threshold: float,
        **options: object,
    ) -> None:
        super().__init__(trainable=False, dtype="float32", **options)
        self.box_std = box_std
        self.pre_nms_top_k = pre_nms_top_k
        self.nms_threshold = nms_threshold

    def call(self, scores: Tensor, deltas: Tensor, anchors_norm: Tensor, count: int) -> Tensor:
        """Object scores [B, A], deltas [B, A, 4], anchors_norm [A, 4] -> boxes_norm [B, count, 4]."""
        scores, indices = ops.top_k(scores, k=min(self.pre_nms_top_k, scores.shape[1]))
        deltas = take_rows(deltas, indices) * np.array(self.box_std, np.float32)
        boxes = apply_deltas(ops.take(anchors_norm, indices, axis=0), deltas)
        boxes = clip_boxes(boxes, WHOLE_IMAGE_NORM)
        kept, valid = non_max_suppression(boxes, scores, self.nms_threshold, count)
        boxes = take_rows(boxes, kept)
        return ops.where(valid[..., None], boxes, 0.0)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "box_std": self.box_std,
            "pre_nms_top_k": self.pre_nms_top_k,
            "nms_threshold": self.nms_threshold,
        }
