"""From classified RoIs to detections: best class, refined box, suppression within each class."""

from __future__ import annotations

import numpy as np
from keras import layers, ops

from fashionseg.ops.boxes import Tensor, apply_deltas, clip_boxes
from fashionseg.ops.gather import take_rows
from fashionseg.ops.nms import first_kept, greedy_keep


class Detections(layers.Layer):
    """Matterport's detection rules.

    Args:
        bbox_std_dev: what the predicted deltas are multiplied with.
        min_confidence: detections with a lower score go.
        nms_threshold: overlap within a class above which the lower score goes.
        max_instances: D, detections per image; the rest is zero rows.
    """

    def __init__(
        self,
        bbox_std_dev: tuple[float, ...],
        min_confidence: float,
        nms_threshold: float,
        max_instances: int,
        **options: object,
    ) -> None:
        super().__init__(trainable=False, dtype="float32", **options)
        self.bbox_std_dev = bbox_std_dev
        self.min_confidence = min_confidence
        self.nms_threshold = nms_threshold
        self.max_instances = max_instances

    def call(self, rois_norm: Tensor, class_scores: Tensor, deltas: Tensor, windows_norm: Tensor) -> Tensor:
        """The detections of each image, by falling score.

        Args:
            rois_norm: [B, R, 4].
            class_scores: [B, R, K] after the softmax.
            deltas: [B, R, K, 4].
            windows_norm: [B, 4], the part of the input that holds the photo.

        Returns:
            [B, D, 6]: normalised box, class, score; zero-padded.
        """
        classes = ops.argmax(class_scores, axis=2)
        scores = ops.max(class_scores, axis=2)
        num_rois, num_classes = deltas.shape[1:3]
        of_roi = ops.reshape(deltas, (-1, num_rois * num_classes, 4))
        deltas = take_rows(of_roi, ops.arange(num_rois, dtype="int32") * num_classes + classes)
        boxes = apply_deltas(rois_norm, deltas * np.array(self.bbox_std_dev, np.float32))
        boxes = clip_boxes(boxes, windows_norm[:, None])
        valid = ops.logical_and(classes > 0, scores >= self.min_confidence)

        # By falling score (ties: the lower RoI first), with the invalid ones last.
        _, order = ops.top_k(ops.where(valid, scores, -1.0), k=scores.shape[1])
        boxes = take_rows(boxes, order)
        classes, scores, valid = (take_rows(x, order) for x in (classes, scores, valid))
        keep = greedy_keep(boxes, self.nms_threshold, valid, groups=classes)
        kept, is_real = first_kept(keep, self.max_instances)
        rows = ops.concatenate([boxes, ops.cast(classes, "float32")[..., None], scores[..., None]], axis=2)
        rows = take_rows(rows, kept)
        return ops.where(is_real[..., None], rows, 0.0)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "bbox_std_dev": self.bbox_std_dev,
            "min_confidence": self.min_confidence,
            "nms_threshold": self.nms_threshold,
            "max_instances": self.max_instances,
        }
