"""Mask R-CNN and Cascade Mask R-CNN from the sections `model`, `inference` and `sampling` of params.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fashionseg.model.backbones import build_backbone
from fashionseg.model.body_parts import GEOMETRY_SIZE, LandmarkMaps
from fashionseg.model.box_head import BoxHead
from fashionseg.model.cascade_mask_rcnn import CascadeMaskRCNN
from fashionseg.model.fpn import build_fpn
from fashionseg.model.label_smoothing import smoothed_targets
from fashionseg.model.layers import BatchNorm
from fashionseg.model.mask_head import MaskHead
from fashionseg.model.mask_iou import MaskIouHead
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.model.proposals import Proposals
from fashionseg.model.roi_targets import RoiSampler
from fashionseg.model.rpn import RPNHead
from fashionseg.model.select_detections import SelectDetections
from fashionseg.ops.anchors import pyramid_anchors
from fashionseg.params import Inference, Model, Sampling


def build_mask_rcnn(
    model: Model,
    num_categories: int,
    inference: Inference,
    sampling: Sampling | None = None,
    category_groups: Sequence[str] | None = None,
) -> MaskRCNN:
    """See `networks.build_network`."""
    return MaskRCNN(**_parts(model, num_categories, inference, sampling, category_groups))


def build_cascade_mask_rcnn(
    model: Model,
    num_categories: int,
    inference: Inference,
    sampling: Sampling | None = None,
    category_groups: Sequence[str] | None = None,
) -> CascadeMaskRCNN:
    """See `networks.build_network`."""
    box_stds = model.cascade.box_stds
    parts = _parts(
        model, num_categories, inference, sampling, category_groups, box_stds[-1], one_box_for_all=True
    )
    samplers = None
    if sampling is not None:
        samplers = [
            parts["roi_sampler"]._replace(positive_iou=iou, box_std=box_std)
            for iou, box_std in zip(sampling.cascade_ious, box_stds, strict=True)
        ]
    box = model.box_head
    return CascadeMaskRCNN(
        name="cascade_mask_rcnn",
        first_box_std=box.box_std,
        further_heads=[
            BoxHead(
                box.pool_size,
                model.fpn.channels,
                box.channels,
                num_categories + 1,
                BatchNorm(model.batch_norm.heads, model.batch_norm.momentum),
                class_agnostic=True,
                geometry_size=_geometry_size(model),
                name=f"box_head_{number}",
            )
            for number in range(2, 2 + len(box_stds))
        ],
        further_samplers=samplers,
        further_box_stds=box_stds,
        further_loss_factors=() if sampling is None else sampling.cascade_loss_factors,
        **parts,
    )


def _parts(
    model: Model,
    num_categories: int,
    inference: Inference,
    sampling: Sampling | None,
    category_groups: Sequence[str] | None,
    last_box_std: tuple[float, ...] | None = None,
    one_box_for_all: bool = False,
) -> dict[str, Any]:
    """The arguments of `MaskRCNN`.

    Args:
        last_box_std: divisor of the deltas that the detections are refined with; None: that of the box head.
        one_box_for_all: the box head is class-agnostic.
    """
    size, num_classes, channels = model.image_size, num_categories + 1, model.fpn.channels
    momentum = model.batch_norm.momentum
    backbone = build_backbone(
        model.backbone.name, size, model.backbone.width, BatchNorm(model.batch_norm.backbone, momentum)
    )
    batch_norm = BatchNorm(model.batch_norm.heads, momentum)
    box, mask, anchors = model.box_head, model.mask_head, model.anchors
    return {
        "backbone": backbone,
        "fpn": build_fpn([feature.shape[1:] for feature in backbone.network.outputs], channels),
        "rpn_head": RPNHead(channels, model.rpn.channels, len(anchors.aspect_ratios), anchors.stride),
        "box_head": BoxHead(
            box.pool_size,
            channels,
            box.channels,
            num_classes,
            batch_norm,
            class_agnostic=one_box_for_all,
            geometry_size=_geometry_size(model),
        ),
        "mask_head": MaskHead(
            mask.pool_size, channels, mask.channels, num_classes, batch_norm, mask.class_agnostic
        ),
        "proposals": Proposals(
            model.rpn.box_std, model.rpn.pre_nms_top_k, model.rpn.nms_threshold, name="proposals"
        ),
        "select_detections": SelectDetections(
            last_box_std or box.box_std,
            inference.score_threshold,
            inference.nms_threshold,
            inference.max_detections,
            name="detections",
        ),
        "anchors": pyramid_anchors((size, size), anchors.sizes, anchors.aspect_ratios, anchors.stride),
        "image_size": size,
        "pixel_mean": model.pixel_mean or backbone.pixel_mean,
        "rpn_box_std": model.rpn.box_std,
        "num_proposals": inference.post_nms_top_k,
        "sampling": sampling,
        "roi_sampler": None if sampling is None else _roi_sampler(model, sampling),
        "class_targets": None
        if sampling is None
        else _class_targets(sampling, num_categories, category_groups),
        "mask_iou_head": MaskIouHead(
            mask.pool_size, channels, model.mask_iou_head.channels, num_classes, batch_norm
        )
        if model.mask_iou_head.channels
        else None,
        "landmark_maps": LandmarkMaps(size, channels) if model.body_parts == "maps" else None,
    }


def _geometry_size(model: Model) -> int:
    return GEOMETRY_SIZE if model.body_parts == "roi" else 0


def _class_targets(
    sampling: Sampling, num_categories: int, category_groups: Sequence[str] | None
) -> np.ndarray | None:
    if sampling.label_smoothing == 0.0:
        return None
    if category_groups is None or len(category_groups) != num_categories:
        got = "none" if category_groups is None else len(category_groups)
        raise ValueError(
            f"sampling.label_smoothing: expected the groups of {num_categories} categories, got {got}; "
            "pass category_groups"
        )
    return smoothed_targets(category_groups, sampling.label_smoothing)


def _roi_sampler(model: Model, sampling: Sampling) -> RoiSampler:
    return RoiSampler(
        rois_per_image=sampling.rois_per_image,
        positive_fraction=sampling.positive_fraction,
        box_std=model.box_head.box_std,
        mask_size=2 * model.mask_head.pool_size,
        includes_gt=sampling.includes_gt,
        fills_negatives=sampling.includes_gt,
        mask_rois_per_image=sampling.mask_rois_per_image,
    )
