"""From classified RoIs to detections: best class, refined box, suppression within each class."""

from __future__ import annotations

import numpy as np
from keras import layers, ops

from fashionseg.ops.boxes import Tensor, apply_deltas, clip_boxes
from fashionseg.ops.gather import take_rows
from fashionseg.ops.nms import first_kept, greedy_keep


class SelectDetections(layers.Layer):
    """Matterport's detection rules.

    Args:
        box_std: factor of the predicted deltas.
        score_threshold: detections of a lower score are dropped.
        nms_threshold: IoU within a class above which the lower score is dropped.
        max_detections: D per image.
    """

    def __init__(
        self,
        box_std: tuple[float, ...],
        score_threshold: float,
        nms_threshold: float,
        max_detections: int,
        **options: object,
    ) -> None:
        super().__init__(trainable=False, dtype="float32", **options)
        self.box_std = box_std
        self.score_threshold = score_threshold
        self.nms_threshold = nms_threshold
        self.max_detections = max_detections

    def call(
        self, rois_norm: Tensor, class_scores: Tensor, deltas: Tensor, windows_norm: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The detections of each image, by falling score.

        Args:
            rois_norm: [B, R, 4].
            class_scores: [B, R, K] after the softmax.
            deltas: [B, R, L, 4]; L = K, or 1 for a class-agnostic head.
            windows_norm: [B, 4], the part of the input that holds the photo.

        Returns:
            boxes_norm [B, D, 4], classes int32 [B, D], scores [B, D]; zero-padded.
        """
        scores, classes = (best[..., 0] for best in ops.top_k(class_scores, k=1))
        num_rois, num_boxes = deltas.shape[1:3]
        of_roi = ops.reshape(deltas, (-1, num_rois * num_boxes, 4))
        if num_boxes > 1:
            of_roi = take_rows(of_roi, ops.arange(num_rois, dtype="int32") * num_boxes + classes)
        deltas = of_roi
        boxes = apply_deltas(rois_norm, deltas * np.array(self.box_std, np.float32))
        boxes = clip_boxes(boxes, windows_norm[:, None])
        valid = ops.logical_and(classes > 0, scores >= self.score_threshold)

        # By falling score (ties: the lower RoI first), with the invalid ones last.
        _, order = ops.top_k(ops.where(valid, scores, -1.0), k=scores.shape[1])
        boxes, classes, scores, valid = (take_rows(x, order) for x in (boxes, classes, scores, valid))
        keep = greedy_keep(boxes, self.nms_threshold, valid, groups=classes)
        kept, is_real = first_kept(keep, self.max_detections)
        boxes, classes, scores = (take_rows(x, kept) for x in (boxes, classes, scores))
        return (
            ops.where(is_real[..., None], boxes, 0.0),
            ops.where(is_real, ops.cast(classes, "int32"), 0),
            ops.where(is_real, scores, 0.0),
        )

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "box_std": self.box_std,
            "score_threshold": self.score_threshold,
            "nms_threshold": self.nms_threshold,
            "max_detections": self.max_detections,
        }
