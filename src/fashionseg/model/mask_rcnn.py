"""Mask R-CNN (He et al. 2017) on a feature pyramid, put together.

images -> backbone -> pyramid -> RPN -> proposals -+-> sampled RoIs -> heads -> five losses   (training)
                                                   +-> box head -> detections -> mask head    (inference)
"""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
from keras import ops

from fashionseg.model.box_head import run_head
from fashionseg.model.detections import Detections
from fashionseg.model.losses import (
    mrcnn_bbox_loss,
    mrcnn_class_loss,
    mrcnn_mask_loss,
    rpn_bbox_loss,
    rpn_class_loss,
)
from fashionseg.model.mask_head import logits_of_class
from fashionseg.model.roi_targets import RoiSampler
from fashionseg.model.rpn import Proposals
from fashionseg.model.rpn_samples import rpn_at_anchors
from fashionseg.model.rpn_targets import rpn_targets
from fashionseg.ops.anchors import normalise_anchors
from fashionseg.ops.boxes import Tensor, is_real, normalise
from fashionseg.ops.gather import take_rows
from fashionseg.ops.noise import uniform_noise
from fashionseg.ops.roi_align import multilevel_roi_align

ANCHOR_NOISE, ROI_NOISE = 0, 1  # streams
_MASK_ROWS = (8, 16, 24, 40, 64)


class MaskRCNN(keras.Model):
    """The network; its parts are handed in (see `build.py`).

    Args:
        backbone, fpn, rpn_head, box_head, mask_head: the layers with weights.
        proposals, detections: the steps between them.
        roi_sampler: chooses RoIs in training.
        anchors: [A, 4] in pixels.
        image_side: S, side of the square input in pixels.
        mean_pixel: RGB, subtracted from the images.
        pool_size, mask_pool_size: bins per side for the two heads.
        proposals_training, proposals_inference: P, proposals per image.
        rpn_anchors_per_image: anchors in the RPN's losses.
    """

    def __init__(
        self,
        *,
        backbone: keras.Model,
        fpn: keras.Model,
        rpn_head: keras.Model,
        box_head: keras.Model,
        mask_head: keras.Model,
        proposals: Proposals,
        detections: Detections,
        roi_sampler: RoiSampler,
        anchors: np.ndarray,
        image_side: int,
        mean_pixel: tuple[float, ...],
        pool_size: int,
        mask_pool_size: int,
        proposals_training: int,
        proposals_inference: int,
        rpn_anchors_per_image: int,
        rpn_bbox_std_dev: tuple[float, ...],
    ) -> None:
        super().__init__(name="mask_rcnn")
        self.backbone, self.fpn = backbone, fpn
        self.rpn_head, self.box_head, self.mask_head = rpn_head, box_head, mask_head
        self.proposals, self.detections, self.roi_sampler = proposals, detections, roi_sampler
        self.image_side = image_side
        self.mean_pixel = np.array(mean_pixel, np.float32)
        self.pool_size, self.mask_pool_size = pool_size, mask_pool_size
        self.proposals_training, self.proposals_inference = proposals_training, proposals_inference
        self.rpn_anchors_per_image = rpn_anchors_per_image
        self.rpn_bbox_std_dev = rpn_bbox_std_dev
        self.anchors = anchors
        self.anchors_norm = normalise_anchors(anchors, (image_side, image_side))
        self.built = True  # every part with weights was built when it was handed in

    def losses_of(self, batch: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The five losses on a batch.

        Args:
            batch: `images` uint8 [B, S, S, 3] RGB, `gt_classes` int [B, G] (0 = padding), `gt_boxes` [B, G, 4]
                in pixels, `gt_masks` 0/1 [B, G, m, m] in their boxes, `sampling_seeds` uint32 [B], which choose the
                anchors and RoIs that count.
            training: whether batch statistics and dropout-like behaviour are those of training.
        """
        pyramid = self.pyramid(batch["images"], training)
        proposals = self.propose(*self.rpn(pyramid, training), self.proposals_training)
        seeds = batch["sampling_seeds"]

        match, target_rpn_deltas = rpn_targets(
            self.anchors.astype(np.float32),
            batch["gt_classes"],
            batch["gt_boxes"],
            uniform_noise(seeds, len(self.anchors), ANCHOR_NOISE),
            self.rpn_anchors_per_image,
            self.rpn_bbox_std_dev,
        )
        _, in_use = ops.top_k(ops.abs(match), k=min(self.rpn_anchors_per_image, len(self.anchors)))
        match, target_rpn_deltas = take_rows(match, in_use), take_rows(target_rpn_deltas, in_use)
        rpn_logits, rpn_deltas = rpn_at_anchors(self.rpn_head, pyramid, in_use)
        num_candidates = self.roi_sampler.num_candidates(proposals.shape[1], batch["gt_classes"].shape[1])
        targets = self.roi_sampler(
            proposals,
            batch["gt_classes"],
            normalise(batch["gt_boxes"], self.image_side, self.image_side),
            batch["gt_masks"],
            uniform_noise(seeds, num_candidates, ROI_NOISE),
        )
        class_logits, deltas = self.classify(pyramid, targets.rois_norm, training, targets.is_real)
        # Only positives have a mask to learn, and they come first.
        first = self.roi_sampler.num_masks
        positive_classes = targets.classes[:, :first]
        mask_logits = self.segment_class(
            pyramid, targets.rois_norm[:, :first], positive_classes, training, positive_classes > 0
        )
        return {
            "rpn_class_loss": rpn_class_loss(match, rpn_logits),
            "rpn_bbox_loss": rpn_bbox_loss(match, target_rpn_deltas, rpn_deltas),
            "mrcnn_class_loss": mrcnn_class_loss(targets.classes, class_logits, targets.is_real),
            "mrcnn_bbox_loss": mrcnn_bbox_loss(targets.classes, targets.deltas, deltas),
            "mrcnn_mask_loss": mrcnn_mask_loss(positive_classes, targets.masks, mask_logits),
        }

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Inference: `images` uint8 [B, S, S, 3] RGB, `windows` [B, 4] in pixels.

        Returns:
            `detections` [B, D, 6] (normalised box, class, score; zero-padded) and `masks` [B, D, 28, 28], the
            probabilities for the detected class in its box (0 in the padding).
        """
        pyramid = self.pyramid(inputs["images"], training)
        rpn_logits, rpn_deltas = self.rpn(pyramid, training)
        rois = self.propose(rpn_logits, rpn_deltas, self.proposals_inference)
        class_logits, deltas = self.classify(pyramid, rois, training)
        windows_norm = normalise(inputs["windows"], self.image_side, self.image_side)
        detections = self.detections(rois, ops.softmax(class_logits), deltas, windows_norm)
        return {"detections": detections, "masks": self.masks(pyramid, detections, training)}

    def masks(self, pyramid: list[Tensor], detections: Tensor, training: bool = False) -> Tensor:
        """Detections [B, D, 6] -> the masks of their classes in their boxes [B, D, 28, 28], 0 in the padding.

        Real detections come first and are few in most photos, while the mask head is the larger part of the work if
        it runs on the padding too. Shapes are static, so one of a few lengths is chosen.
        """
        total = detections.shape[1]
        lengths = [length for length in _MASK_ROWS if length < total] + [total]
        longest = ops.max(ops.sum(ops.cast(detections[..., 4] > 0, "int32"), axis=1))
        index = ops.sum(ops.cast(longest > np.array(lengths[:-1], np.int32), "int32"))

        def masks_of_first(rows: int) -> Tensor:
            classes = ops.cast(detections[:, :rows, 4], "int32")
            masks = ops.sigmoid(self.segment_class(pyramid, detections[:, :rows, :4], classes, training))
            masks = ops.where(detections[:, :rows, 4, None, None] > 0, masks, 0.0)
            return ops.pad(masks, [(0, 0), (0, total - rows), (0, 0), (0, 0)])

        return ops.switch(index, [partial(masks_of_first, rows) for rows in lengths])

    def pyramid(self, images: Tensor, training: bool = False) -> list[Tensor]:
        """Images uint8 [B, S, S, 3] -> P2 to P6."""
        centred = ops.cast(images, "float32") - self.mean_pixel
        return self.fpn(self.backbone(centred, training=training), training=training)

    def rpn(self, pyramid: list[Tensor], training: bool = False) -> tuple[Tensor, Tensor]:
        """P2 to P6 -> class logits [B, A, 2], deltas [B, A, 4]."""
        logits, deltas = zip(*(self.rpn_head(level, training=training) for level in pyramid), strict=True)
        return ops.concatenate(logits, axis=1), ops.concatenate(deltas, axis=1)

    def propose(self, rpn_logits: Tensor, rpn_deltas: Tensor, count: int) -> Tensor:
        """-> proposals_norm [B, count, 4], without gradient."""
        scores = ops.softmax(ops.stop_gradient(rpn_logits))[..., 1]
        return self.proposals(
            scores, ops.stop_gradient(rpn_deltas), ops.convert_to_tensor(self.anchors_norm), count=count
        )

    def classify(
        self, pyramid: list[Tensor], rois_norm: Tensor, training: bool = False, real: Tensor | None = None
    ) -> list[Tensor]:
        """RoIs [B, R, 4] -> class logits [B, R, K], deltas [B, R, K, 4]."""
        shape = (self.image_side, self.image_side)
        pooled = multilevel_roi_align(pyramid[:4], rois_norm, shape, self.pool_size)
        return run_head(self.box_head, pooled, is_real(rois_norm) if real is None else real, training)

    def segment(
        self, pyramid: list[Tensor], rois_norm: Tensor, training: bool = False, real: Tensor | None = None
    ) -> Tensor:
        """RoIs [B, R, 4] -> mask logits of all classes [B, R, 28, 28, K]."""
        return self._run_mask_head(pyramid, rois_norm, training, real)[1]

    def segment_class(
        self,
        pyramid: list[Tensor],
        rois_norm: Tensor,
        classes: Tensor,
        training: bool = False,
        real: Tensor | None = None,
    ) -> Tensor:
        """RoIs [B, R, 4] and a class for each, int [B, R] -> mask logits of that class [B, R, 28, 28]."""
        features = self._run_mask_head(pyramid, rois_norm, training, real)[0]
        return logits_of_class(self.mask_head, features, classes)

    def _run_mask_head(
        self, pyramid: list[Tensor], rois_norm: Tensor, training: bool, real: Tensor | None
    ) -> list[Tensor]:
        shape = (self.image_side, self.image_side)
        pooled = multilevel_roi_align(pyramid[:4], rois_norm, shape, self.mask_pool_size)
        return run_head(self.mask_head, pooled, is_real(rois_norm) if real is None else real, training)
