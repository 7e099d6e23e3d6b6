"""Mask R-CNN (He et al. 2017) on a feature pyramid, put together.

images -> backbone -> pyramid -> RPN -> proposals -+-> sampled RoIs -> heads -> five losses   (training)
                                                   +-> box head -> detections -> mask head    (inference)
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import ops

from fashionseg.model import losses
from fashionseg.model.api import LossTerm, Network, Phase
from fashionseg.model.backbones import Backbone
from fashionseg.model.backbones.load import load_backbone_weights
from fashionseg.model.box_head import BoxHead, run_head
from fashionseg.model.mask_head import MaskHead
from fashionseg.model.proposals import Proposals
from fashionseg.model.roi_targets import RoiSampler
from fashionseg.model.rpn import RPNHead
from fashionseg.model.rpn_targets import rpn_targets
from fashionseg.model.select_detections import SelectDetections
from fashionseg.model.weights import load_matterport_for_categories
from fashionseg.ops.anchors import normalise_anchors
from fashionseg.ops.boxes import Tensor, denormalise, is_real, normalise
from fashionseg.ops.gather import take_rows
from fashionseg.ops.noise import uniform_noise
from fashionseg.ops.roi_align import multilevel_roi_align
from fashionseg.params import Sampling
from fashionseg.storage.backbone_weights import has_backbone_weights

ANCHOR_NOISE, ROI_NOISE = 0, 1  # streams
_MASK_ROWS = (8, 16, 24, 40, 64)


class MaskRCNN(Network):
    """The network, made of given parts (see `build.py`).

    Args:
        backbone, fpn, rpn_head, box_head, mask_head: the layers with weights.
        proposals, select_detections: the steps between them.
        anchors: [A, 4] in pixels.
        image_size: S, side of the square input in pixels.
        pixel_mean: RGB, subtracted from the images before the backbone's scaling.
        rpn_box_std: divisor of the RPN's target deltas.
        num_proposals: P, proposals per image at inference.
        sampling: what the losses look at; None for inference alone.
        roi_sampler: samples the RoIs of the losses; None for inference alone.
        class_targets: [K, K], see `losses.class_loss`; None: no label smoothing.
    """

    loss_names = ("rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss", "mask_loss")

    def __init__(
        self,
        *,
        backbone: Backbone,
        fpn: keras.Model,
        rpn_head: RPNHead,
        box_head: BoxHead,
        mask_head: MaskHead,
        proposals: Proposals,
        select_detections: SelectDetections,
        anchors: np.ndarray,
        image_size: int,
        pixel_mean: tuple[float, ...],
        rpn_box_std: tuple[float, ...],
        num_proposals: int,
        sampling: Sampling | None,
        roi_sampler: RoiSampler | None,
        class_targets: np.ndarray | None = None,
    ) -> None:
        super().__init__(name="mask_rcnn")
        self.backbone, self.fpn = backbone.network, fpn
        self._layers_of_first_stages, self.pixel_scale = backbone.layers_of_first, backbone.pixel_scale
        self.rpn_head, self.box_head, self.mask_head = rpn_head, box_head, mask_head
        self.proposals, self.select_detections = proposals, select_detections
        self.image_size = image_size
        self.pixel_mean = np.array(pixel_mean, np.float32)
        self.rpn_box_std = rpn_box_std
        self.num_proposals = num_proposals
        self.sampling, self.roi_sampler, self.class_targets = sampling, roi_sampler, class_targets
        self.anchors = anchors
        self.anchors_norm = normalise_anchors(anchors, (image_size, image_size))
        self.built = True  # all parts with weights are built already

    def loss_terms(self, batch: dict[str, Tensor], training: bool) -> dict[str, LossTerm]:
        """The five losses of section 3, see `Network.loss_terms`."""
        assert self.sampling is not None and self.roi_sampler is not None, "built without `sampling`"
        pyramid = self.pyramid(batch["images"], training)
        proposals = self.propose(*self.rpn(pyramid, training), self.sampling.post_nms_top_k)
        seeds, is_photo = batch["sampling_seeds"], batch["is_photo"][:, None]

        num_anchors = self.sampling.anchors_per_image
        match, target_rpn_deltas = rpn_targets(
            self.anchors.astype(np.float32),
            batch["gt_classes"],
            batch["gt_boxes"],
            uniform_noise(seeds, len(self.anchors), ANCHOR_NOISE),
            num_anchors,
            self.rpn_box_std,
        )
        match = ops.where(is_photo, match, 0)
        _, in_use = ops.top_k(ops.abs(match), k=min(num_anchors, len(self.anchors)))
        match, target_rpn_deltas = take_rows(match, in_use), take_rows(target_rpn_deltas, in_use)
        rpn_logits, rpn_deltas = self.rpn_head.at_anchors(pyramid, in_use)
        num_candidates = self.roi_sampler.num_candidates(proposals.shape[1], batch["gt_classes"].shape[1])
        targets = self.roi_sampler(
            proposals,
            batch["gt_classes"],
            normalise(batch["gt_boxes"], self.image_size, self.image_size),
            batch["gt_masks"],
            uniform_noise(seeds, num_candidates, ROI_NOISE),
        )
        is_counted = ops.logical_and(targets.is_real, is_photo)
        class_logits, deltas = self.classify(pyramid, targets.rois_norm, training, is_counted)
        # Only positives have a mask to learn, and they come first.
        first = self.roi_sampler.num_masks
        positive_classes = targets.classes[:, :first]
        mask_logits = self.segment_class(
            pyramid, targets.rois_norm[:, :first], positive_classes, training, positive_classes > 0
        )
        return {
            "rpn_class_loss": losses.rpn_class_loss(match, rpn_logits),
            "rpn_box_loss": losses.rpn_box_loss(match, target_rpn_deltas, rpn_deltas),
            "class_loss": losses.class_loss(targets.classes, class_logits, is_counted, self.class_targets),
            "box_loss": losses.box_loss(targets.classes, targets.deltas, deltas),
            "mask_loss": losses.mask_loss(positive_classes, targets.masks, mask_logits),
        }

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Detections, see `Network.call`."""
        pyramid = self.pyramid(inputs["images"], training)
        rois = self.propose(*self.rpn(pyramid, training), self.num_proposals)
        class_logits, deltas = self.classify(pyramid, rois, training)
        windows_norm = normalise(inputs["windows"], self.image_size, self.image_size)
        boxes_norm, classes, scores = self.select_detections(
            rois, ops.softmax(class_logits), deltas, windows_norm
        )
        boxes = denormalise(boxes_norm, self.image_size, self.image_size)
        return {
            "boxes": ops.where(classes[..., None] > 0, boxes, 0.0),
            "classes": classes,
            "scores": scores,
            "masks": self.masks(pyramid, boxes_norm, classes, training),
        }

    def set_phase(self, phase: Phase, frozen_stages: int = 0) -> None:
        """`heads` freezes the backbone, moving statistics included; the pyramid is trained."""
        self.backbone.trainable = False  # Keras reaches the layers only when the value changes
        self.backbone.trainable = {"heads": False, "all": True}[phase]
        for layer in self._layers_of_first_stages(frozen_stages):
            layer.trainable = False

    @property
    def backbone_variables(self) -> list[keras.Variable]:
        """The trained weights of the backbone; the pyramid is not part of it."""
        return self.backbone.trainable_variables

    def load_pretrained(self, path: Path) -> str:
        """ImageNet weights of the backbone, or a file in Matterport's layout.

        The class layers stay as they are where the file's categories differ.
        """
        if has_backbone_weights(path):
            return load_backbone_weights(self.backbone, path)
        return load_matterport_for_categories(self, path).describe()

    def masks(
        self, pyramid: list[Tensor], boxes_norm: Tensor, classes: Tensor, training: bool = False
    ) -> Tensor:
        """Masks of detections in their boxes: boxes [B, D, 4], classes [B, D] -> [B, D, 28, 28], 0 in the padding.

        Real detections come first and are few in most photos; running the mask head on the padding would be most of
        the work. Shapes are static, so one of a few lengths is chosen.
        """
        total = classes.shape[1]
        lengths = [length for length in _MASK_ROWS if length < total] + [total]
        longest = ops.max(ops.sum(ops.cast(classes > 0, "int32"), axis=1))
        index = ops.sum(ops.cast(longest > np.array(lengths[:-1], np.int32), "int32"))

        def masks_of_first(rows: int) -> Tensor:
            masks = ops.sigmoid(
                self.segment_class(pyramid, boxes_norm[:, :rows], classes[:, :rows], training)
            )
            masks = ops.where(classes[:, :rows, None, None] > 0, masks, 0.0)
            return ops.pad(masks, [(0, 0), (0, total - rows), (0, 0), (0, 0)])

        return ops.switch(index, [partial(masks_of_first, rows) for rows in lengths])

    def pyramid(self, images: Tensor, training: bool = False) -> list[Tensor]:
        """Images uint8 [B, S, S, 3] -> P2 to P6."""
        centred = ops.cast(images, "float32") - self.pixel_mean
        return self.fpn(self.backbone(centred * self.pixel_scale, training=training), training=training)

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
        shape = (self.image_size, self.image_size)
        pooled = multilevel_roi_align(pyramid[:4], rois_norm, shape, pool_size_of(self.box_head))
        return run_head(self.box_head, pooled, is_real(rois_norm) if real is None else real, training)

    def segment(
        self, pyramid: list[Tensor], rois_norm: Tensor, training: bool = False, real: Tensor | None = None
    ) -> Tensor:
        """RoIs [B, R, 4] -> mask logits of all classes [B, R, 28, 28, K], K = 1 if class-agnostic."""
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
        return self.mask_head.logits_of_class(features, classes)

    def _run_mask_head(
        self, pyramid: list[Tensor], rois_norm: Tensor, training: bool, real: Tensor | None
    ) -> list[Tensor]:
        shape = (self.image_size, self.image_size)
        pooled = multilevel_roi_align(pyramid[:4], rois_norm, shape, pool_size_of(self.mask_head))
        return run_head(self.mask_head, pooled, is_real(rois_norm) if real is None else real, training)


def pool_size_of(head: keras.Model) -> int:
    """Bins per side of the pooled features that a head takes."""
    return head.inputs[0].shape[1]
