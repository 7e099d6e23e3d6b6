"""RoI sampling and the class, box and mask targets of the sampled RoIs (Fast R-CNN, section 2.3)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor, encode_deltas, iou_matrix, is_real
from fashionseg.ops.gather import take_rows
from fashionseg.ops.masks import EDGE_SLACK, crop_masks, relative_boxes
from fashionseg.ops.matching import best_match, touches_crowd
from fashionseg.ops.sampling import limit

POSITIVE_IOU = 0.5


class RoiTargets(NamedTuple):
    """The sampled RoIs, positives first, and their targets; R RoIs per image, of which the first M have mask targets.

    Attributes:
        rois_norm: [B, R, 4], zero rows where there were too few.
        is_real: bool [B, R].
        classes: int32 [B, R], 0 for negatives and padding.
        deltas: [B, R, 4], 0 where the class is 0.
        masks: float32 0/1 [B, M, 28, 28], for the first M RoIs, 0 where the class is 0.
        matched: int32 [B, R], the instance of highest IoU with each RoI.
    """

    rois_norm: Tensor
    is_real: Tensor
    classes: Tensor
    deltas: Tensor
    masks: Tensor
    matched: Tensor


class RoiSampler(NamedTuple):
    """The RoI sampler and its settings.

    Attributes:
        rois_per_image: R.
        positive_fraction: largest share of positives in R.
        box_std: divisor of the deltas.
        mask_size: side of the mask targets.
        includes_gt: ground-truth boxes are candidates too, so that the heads learn while the RPN is poor.
        fills_negatives: negatives fill R. False is Matterport's rule: two per positive, hence none at all in an image
            without positives.
        cuts_gradient: the box targets are constants. False is Matterport's code, in which the box loss of the second
            stage also trains the RPN through them, against its author's intention (its issue 343).
        mask_edge_slack: see `ops.masks.crop_masks`; 0 is Matterport's code.
        mask_rois_per_image: most positives, randomly drawn, in the mask loss: the mask head dominates the step of a
            small network, and neighbouring RoIs teach it nearly the same. None: all positives.
        positive_iou: IoU with an instance from which a candidate is positive.
    """

    rois_per_image: int
    positive_fraction: float
    box_std: tuple[float, ...]
    mask_size: int
    includes_gt: bool
    fills_negatives: bool
    cuts_gradient: bool = True
    mask_edge_slack: float = EDGE_SLACK
    mask_rois_per_image: int | None = None
    positive_iou: float = POSITIVE_IOU

    @property
    def max_positives(self) -> int:
        """Most positives per image."""
        return int(self.rois_per_image * self.positive_fraction)

    @property
    def num_masks(self) -> int:
        """M."""
        return min(self.max_positives, self.mask_rois_per_image or self.max_positives)

    def num_candidates(self, num_proposals: int, num_instances: int) -> int:
        """N, the rows that `priorities` must have."""
        return num_proposals + (num_instances if self.includes_gt else 0)

    def __call__(
        self,
        proposals_norm: Tensor,
        gt_classes: Tensor,
        gt_boxes_norm: Tensor,
        gt_masks: Tensor,
        priorities: Tensor,
        mask_frames_norm: Tensor | None = None,
    ) -> RoiTargets:
        """Positives have an IoU of `positive_iou` or more with an instance, negatives less with all of them.

        Args:
            proposals_norm: [B, P, 4], zero rows are padding.
            gt_classes: int [B, G]; 0 is padding, negative a crowd.
            gt_boxes_norm: [B, G, 4].
            gt_masks: [B, G, m, m], each the instance's mask in its frame.
            priorities: [B, N] in [0, 1); which candidates stay when there are too many.
            mask_frames_norm: [B, G, 4]; None: the frame of a mask is the instance's box.
        """
        candidates = proposals_norm
        is_instance = gt_classes > 0
        if self.includes_gt:
            own = ops.where(is_instance[..., None], gt_boxes_norm, 0.0)
            candidates = ops.concatenate([candidates, own], axis=1)
        if self.cuts_gradient:
            candidates = ops.stop_gradient(candidates)
        if mask_frames_norm is None:
            mask_frames_norm = gt_boxes_norm
        iou = iou_matrix(candidates, gt_boxes_norm)
        best_iou, best = best_match(iou, is_instance)
        real = is_real(candidates)
        positive = ops.logical_and(real, best_iou >= self.positive_iou)
        negative = ops.logical_and(
            best_iou < self.positive_iou, ops.logical_not(touches_crowd(iou, gt_classes < 0))
        )
        negative = ops.logical_and(real, negative)
        positive = limit(positive, priorities, self.max_positives)

        # Positives above all negatives, those above nothing: one top-k puts positives first.
        keys = ops.where(positive, 2.0 + priorities, ops.where(negative, priorities, -1.0))
        keys, chosen = ops.top_k(keys, k=min(self.rois_per_image, keys.shape[1]))
        is_positive = keys >= 2.0
        is_chosen = keys >= 0.0
        if not self.fills_negatives:
            is_chosen = ops.logical_and(is_chosen, self._within_ratio(is_positive))
        return self._targets(
            candidates,
            best,
            chosen,
            is_chosen,
            is_positive,
            gt_classes,
            gt_boxes_norm,
            gt_masks,
            mask_frames_norm,
        )

    def _within_ratio(self, is_positive: Tensor) -> Tensor:
        """bool [B, R]: the first `int(positives / ratio)` rows, computed in float32 as Matterport does."""
        num_positive = ops.sum(ops.cast(is_positive, "float32"), axis=1, keepdims=True)
        num_rows = ops.floor(np.float32(1.0 / self.positive_fraction) * num_positive)
        return ops.cast(ops.arange(is_positive.shape[1])[None], "float32") < num_rows

    def _targets(
        self,
        candidates: Tensor,
        best: Tensor,
        chosen: Tensor,
        is_chosen: Tensor,
        is_positive: Tensor,
        gt_classes: Tensor,
        gt_boxes_norm: Tensor,
        gt_masks: Tensor,
        mask_frames_norm: Tensor,
    ) -> RoiTargets:
        rois = ops.where(is_chosen[..., None], take_rows(candidates, chosen), 0.0)
        matched = take_rows(best, chosen)
        matched_boxes = take_rows(gt_boxes_norm, matched)
        classes = ops.where(is_positive, take_rows(gt_classes, matched), 0)
        deltas = encode_deltas(rois, matched_boxes) / np.array(self.box_std, np.float32)
        deltas = ops.where(is_positive[..., None], deltas, 0.0)

        first = self.num_masks
        frames = take_rows(mask_frames_norm, matched[:, :first])
        masks = take_rows(gt_masks, matched[:, :first])
        masks = crop_masks(
            masks, relative_boxes(rois[:, :first], frames), self.mask_size, self.mask_edge_slack
        )
        masks = ops.where(is_positive[:, :first, None, None], ops.round(masks), 0.0)
        return RoiTargets(rois, is_chosen, ops.cast(classes, "int32"), deltas, masks, matched)
