"""Mask R-CNN (He et al. 2017) on a feature pyramid, put together.

images -> backbone -> pyramid -> RPN -> proposals -+-> sampled RoIs -> heads -> five losses   (training)
                                                   +-> box head -> detections -> mask head    (inference)
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import ops

from fashionseg.model import losses
from fashionseg.model.api import LossTerm, Network, Phase
from fashionseg.model.backbones import Backbone
from fashionseg.model.backbones.load import load_backbone_weights
from fashionseg.model.body_parts import LandmarkMaps, roi_geometry
from fashionseg.model.box_head import BoxHead, run_head
from fashionseg.model.layers import updates_statistics
from fashionseg.model.mask_head import MaskHead
from fashionseg.model.mask_iou import MaskIouHead, mask_areas_of_rois, mask_iou_targets
from fashionseg.model.proposals import Proposals
from fashionseg.model.roi_targets import RoiSampler, RoiTargets
from fashionseg.model.rpn import RPNHead
from fashionseg.model.rpn_targets import rpn_targets
from fashionseg.model.select_detections import SelectDetections
from fashionseg.model.weights import load_matterport_for_categories
from fashionseg.ops.anchors import normalise_anchors
from fashionseg.ops.boxes import Tensor, denormalise, is_real, normalise
from fashionseg.ops.gather import take_rows
from fashionseg.ops.noise import uniform_noise
from fashionseg.ops.real_rows import on_real_rows
from fashionseg.ops.roi_align import multilevel_roi_align
from fashionseg.params import Sampling
from fashionseg.storage.backbone_weights import has_backbone_weights

ANCHOR_NOISE, ROI_NOISE = 0, 1  # streams


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
        mask_iou_head: predicts the quality of each mask, a factor of its score; None for none.
        landmark_maps: of the body, added to the pyramid; None for none.
        name: of the architecture.
    """

    loss_names: tuple[str, ...] = ("rpn_class_loss", "rpn_box_loss", "class_loss", "box_loss", "mask_loss")

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
        mask_iou_head: MaskIouHead | None = None,
        landmark_maps: LandmarkMaps | None = None,
        name: str = "mask_rcnn",
    ) -> None:
        super().__init__(name=name)
        self.backbone, self.fpn = backbone.network, fpn
        self._layers_of_first_stages, self.pixel_scale = backbone.layers_of_first, backbone.pixel_scale
        self.rpn_head, self.box_head, self.mask_head = rpn_head, box_head, mask_head
        if mask_iou_head is not None:
            self.loss_names = (*self.loss_names, "mask_iou_loss")
        self.mask_iou_head = mask_iou_head
        self.landmark_maps = landmark_maps
        self.takes_pose = landmark_maps is not None or box_head.takes_geometry
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
        pyramid = self.features(batch, training)
        proposals = self.propose(*self.rpn(pyramid, training), self.sampling.post_nms_top_k)
        targets = self.sample_rois(self.roi_sampler, proposals, batch, ROI_NOISE)
        return {
            **self.rpn_terms(pyramid, batch),
            **self.box_terms(pyramid, targets, batch, training),
            **self.mask_terms(pyramid, targets, batch, training),
        }

    def rpn_terms(self, pyramid: list[Tensor], batch: dict[str, Tensor]) -> dict[str, LossTerm]:
        """The losses of the RPN over sampled anchors."""
        assert self.sampling is not None
        num_anchors = self.sampling.anchors_per_image
        match, target_rpn_deltas = rpn_targets(
            self.anchors.astype(np.float32),
            batch["gt_classes"],
            batch["gt_boxes"],
            uniform_noise(batch["sampling_seeds"], len(self.anchors), ANCHOR_NOISE),
            num_anchors,
            self.rpn_box_std,
        )
        match = ops.where(batch["is_photo"][:, None], match, 0)
        _, in_use = ops.top_k(ops.abs(match), k=min(num_anchors, len(self.anchors)))
        match, target_rpn_deltas = take_rows(match, in_use), take_rows(target_rpn_deltas, in_use)
        rpn_logits, rpn_deltas = self.rpn_head.at_anchors(pyramid, in_use)
        return {
            "rpn_class_loss": losses.rpn_class_loss(match, rpn_logits),
            "rpn_box_loss": losses.rpn_box_loss(match, target_rpn_deltas, rpn_deltas),
        }

    def sample_rois(
        self, sampler: RoiSampler, proposals_norm: Tensor, batch: dict[str, Tensor], stream: int
    ) -> RoiTargets:
        """RoIs and their targets out of proposals [B, P, 4]; `stream` of the photo's noise decides which."""
        num_candidates = sampler.num_candidates(proposals_norm.shape[1], batch["gt_classes"].shape[1])
        return sampler(
            proposals_norm,
            batch["gt_classes"],
            normalise(batch["gt_boxes"], self.image_size, self.image_size),
            batch["gt_masks"],
            uniform_noise(batch["sampling_seeds"], num_candidates, stream),
        )

    def box_terms(
        self, pyramid: list[Tensor], targets: RoiTargets, batch: dict[str, Tensor], training: bool
    ) -> dict[str, LossTerm]:
        """The losses of the box head."""
        is_counted = ops.logical_and(targets.is_real, batch["is_photo"][:, None])
        class_logits, deltas = self.classify(
            pyramid, targets.rois_norm, training, is_counted, landmarks=batch.get("landmarks")
        )
        return {
            "class_loss": losses.class_loss(targets.classes, class_logits, is_counted, self.class_targets),
            "box_loss": losses.box_loss(targets.classes, targets.deltas, deltas),
        }

    def mask_terms(
        self, pyramid: list[Tensor], targets: RoiTargets, batch: dict[str, Tensor], training: bool
    ) -> dict[str, LossTerm]:
        """The losses of the heads behind the mask branch: only positives have a mask to learn, and they come first."""
        total = targets.masks.shape[1]

        def of_first(rows: int) -> dict[str, LossTerm]:
            rois, classes, masks = (
                values[:, :rows] for values in (targets.rois_norm, targets.classes, targets.masks)
            )
            pooled = self.pool(pyramid, rois, self.mask_head)
            features, _ = run_head(self.mask_head, pooled, classes > 0, training)
            logits = self.mask_head.logits_of_class(features, classes)
            terms = {"mask_loss": losses.mask_loss(classes, masks, logits)}
            if self.mask_iou_head is not None:
                frames = normalise(batch["gt_boxes"], self.image_size, self.image_size)
                areas = mask_areas_of_rois(rois, targets.matched[:, :rows], frames, batch["gt_masks"])
                quality = self.mask_iou_head.quality(pooled, logits, classes, training)
                terms["mask_iou_loss"] = losses.mask_iou_loss(
                    classes, mask_iou_targets(logits, masks, areas), quality
                )
            return terms

        heads = [head for head in (self.mask_head, self.mask_iou_head) if head is not None]
        if training and any(map(updates_statistics, heads)):
            return of_first(total)  # moving statistics cannot be updated in a branch of the graph
        return on_real_rows(of_first, targets.classes[:, :total] > 0)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Detections, see `Network.call`."""
        pyramid = self.features(inputs, training)
        proposals = self.propose(*self.rpn(pyramid, training), self.num_proposals)
        windows_norm = normalise(inputs["windows"], self.image_size, self.image_size)
        rois, class_scores, deltas = self.score(
            pyramid, proposals, windows_norm, training, inputs.get("landmarks")
        )
        boxes_norm, classes, scores = self.select_detections(rois, class_scores, deltas, windows_norm)
        masks, quality = self._masks_and_quality(pyramid, boxes_norm, classes, training)
        if self.mask_iou_head is not None:
            scores, order = ops.top_k(scores * quality, k=scores.shape[1])
            boxes_norm, classes, masks = (take_rows(rows, order) for rows in (boxes_norm, classes, masks))
        boxes = denormalise(boxes_norm, self.image_size, self.image_size)
        return {
            "boxes": ops.where(classes[..., None] > 0, boxes, 0.0),
            "classes": classes,
            "scores": scores,
            "masks": masks,
        }

    def score(
        self,
        pyramid: list[Tensor],
        proposals_norm: Tensor,
        windows_norm: Tensor,
        training: bool = False,
        landmarks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the detections are selected from.

        Args:
            proposals_norm: [B, P, 4].
            windows_norm: [B, 4], the part of the input that holds the photo.
            landmarks: [B, 33, 3], for a box head that takes geometry.

        Returns:
            RoIs [B, P, 4], their class scores [B, P, K], and the deltas [B, P, L, 4] that refine them once more.
        """
        class_logits, deltas = self.classify(pyramid, proposals_norm, training, landmarks=landmarks)
        return proposals_norm, ops.softmax(class_logits), deltas

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
        """Masks of detections in their boxes: boxes [B, D, 4], classes [B, D] -> [B, D, 28, 28], 0 in the padding."""
        return self._masks_and_quality(pyramid, boxes_norm, classes, training)[0]

    def _masks_and_quality(
        self, pyramid: list[Tensor], boxes_norm: Tensor, classes: Tensor, training: bool
    ) -> tuple[Tensor, Tensor]:
        """`masks`, and the predicted quality of each [B, D]: 1 without a mask-IoU head, 0 in the padding."""
        total = classes.shape[1]

        def of_first(rows: int) -> tuple[Tensor, Tensor]:
            own = classes[:, :rows]
            pooled = self.pool(pyramid, boxes_norm[:, :rows], self.mask_head)
            features, _ = run_head(self.mask_head, pooled, is_real(boxes_norm[:, :rows]), training)
            logits = self.mask_head.logits_of_class(features, own)
            quality = ops.ones(ops.shape(own), "float32")
            if self.mask_iou_head is not None:
                quality = self.mask_iou_head.quality(pooled, logits, own, training)
            masks = ops.where(own[..., None, None] > 0, ops.sigmoid(logits), 0.0)
            quality = ops.where(own > 0, quality, 0.0)
            missing = (0, total - rows)
            return ops.pad(masks, [(0, 0), missing, (0, 0), (0, 0)]), ops.pad(quality, [(0, 0), missing])

        masks, quality = on_real_rows(of_first, classes > 0)
        return masks, quality

    def features(self, inputs: dict[str, Tensor], training: bool = False) -> list[Tensor]:
        """P2 to P6 of the images of a batch, with what is known of the bodies on them."""
        pyramid = self.pyramid(inputs["images"], training)
        if self.landmark_maps is None:
            return pyramid
        return [
            level
            + ops.cast(
                self.landmark_maps(inputs["landmarks"], inputs["person_masks"], side=level.shape[1]),
                level.dtype,
            )
            for level in pyramid
        ]

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
        self,
        pyramid: list[Tensor],
        rois_norm: Tensor,
        training: bool = False,
        real: Tensor | None = None,
        head: BoxHead | None = None,
        landmarks: Tensor | None = None,
    ) -> list[Tensor]:
        """RoIs [B, R, 4] -> class logits [B, R, K], deltas [B, R, L, 4].

        By `box_head` unless another head is given, with the geometry of the `landmarks` [B, 33, 3] if it takes that.
        """
        head = head or self.box_head
        inputs = [self.pool(pyramid, rois_norm, head)]
        if head.takes_geometry:
            inputs.append(roi_geometry(rois_norm, landmarks, self.image_size))
        return run_head(head, inputs, is_real(rois_norm) if real is None else real, training)

    def pool(self, pyramid: list[Tensor], rois_norm: Tensor, head: keras.Model) -> Tensor:
        """RoIs [B, R, 4] -> the features that `head` takes, [B, R, pool, pool, C]."""
        shape = (self.image_size, self.image_size)
        return multilevel_roi_align(pyramid[:4], rois_norm, shape, pool_size_of(head))

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
        pooled = self.pool(pyramid, rois_norm, self.mask_head)
        return run_head(self.mask_head, pooled, is_real(rois_norm) if real is None else real, training)


def pool_size_of(head: keras.Model) -> int:
    """Bins per side of the pooled features that a head takes."""
    return head.inputs[0].shape[1]
