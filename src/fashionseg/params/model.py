"""The network: what rebuilds it (`model`), what its losses sample (`sampling`), what a prediction keeps (`inference`).

A model folder stores `model` alone; `sampling` matters in training only, and `inference` may change after it.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from fashionseg.params.types import (
    Count,
    FourPositive,
    Fraction,
    InputScale,
    NonNegative,
    NonNegativeInt,
    OpenFraction,
    Positive,
    Text,
    component,
)

SIZE_STEP: Final = 32  # pixels: the stride of the backbone's last stage


@component
class Backbone:
    name: Literal["resnet14", "resnet26", "resnet50", "resnet101", "efficientnet_lite0", "efficientnet_lite2"]
    width: Annotated[int, Field(ge=4, le=128)]


@component
class BatchNorm:
    backbone: bool
    heads: bool
    momentum: OpenFraction


@component
class Fpn:
    channels: Count


@component
class Anchors:
    sizes: tuple[Positive, Positive, Positive, Positive, Positive]
    aspect_ratios: Annotated[tuple[Positive, ...], Field(min_length=1)]
    stride: Count


@component
class Rpn:
    channels: Count
    box_std: FourPositive
    nms_threshold: Fraction
    pre_nms_top_k: Count


@component
class BoxHead:
    channels: Count
    pool_size: Annotated[int, Field(ge=2)]
    box_std: FourPositive


@component
class Cascade:
    box_stds: Annotated[tuple[FourPositive, ...], Field(min_length=1)]


@component
class MaskHead:
    channels: Count
    pool_size: Annotated[int, Field(ge=2)]
    class_agnostic: bool


@component
class MaskIouHead:
    channels: NonNegativeInt


@component
class Model:
    pretrained: Text
    architecture: Text  # checked against the registry of `model.api`, which a test or a plug-in may extend
    image_size: Annotated[int, Field(ge=64, le=4096, multiple_of=SIZE_STEP)]
    pixel_mean: tuple[NonNegative, NonNegative, NonNegative] | None
    backbone: Backbone
    batch_norm: BatchNorm
    fpn: Fpn
    anchors: Anchors
    rpn: Rpn
    box_head: BoxHead
    cascade: Cascade
    mask_head: MaskHead
    mask_iou_head: MaskIouHead
    body_parts: Literal["none", "maps", "roi"]


@component
class Sampling:
    max_gt_instances: Count
    mini_mask_size: Annotated[int, Field(ge=14)]
    anchors_per_image: Annotated[int, Field(ge=2)]
    post_nms_top_k: Count
    rois_per_image: Annotated[int, Field(ge=3)]
    positive_fraction: OpenFraction
    includes_gt: bool
    mask_rois_per_image: Count
    cascade_ious: Annotated[tuple[OpenFraction, ...], Field(min_length=1)]
    cascade_loss_factors: Annotated[tuple[Positive, ...], Field(min_length=1)]
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]
    repeat_threshold: Fraction


@component
class Inference:
    post_nms_top_k: Count
    score_threshold: Fraction
    nms_threshold: Fraction
    max_detections: Count
    mask_quality: NonNegative
    flip: bool
    scales: tuple[InputScale, ...]


# The keys of `inference` that came after the first registered models, with the values that change nothing.
LATER_INFERENCE: Final = {"mask_quality": 0.0, "flip": False, "scales": ()}
