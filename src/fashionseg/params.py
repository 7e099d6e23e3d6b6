"""params.yaml as small frozen dataclasses: the one place that reads it, and the one that says what is allowed.

Values live in params.yaml only, so no field has a default; a missing, unknown or ill-typed key is one clear
`UserError` that names the file and the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fashionseg.errors import UserError

PARAMS_FILE = Path("params.yaml")

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
component = dataclass(frozen=True, kw_only=True, config=_STRICT)

Count = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
FourPositive = tuple[Positive, Positive, Positive, Positive]


@component
class Sample:
    train_photos: Annotated[int, Field(ge=10)]
    test_photos: Count
    seed: NonNegativeInt


@component
class Download:
    source: Literal["sample", "folder", "kaggle"]
    folder: str | None
    competition: Annotated[str, Field(min_length=1)]
    sample: Sample


@component
class Decode:
    long_side: Annotated[int, Field(ge=32, le=8192)]
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    min_area: Count
    max_megapixels: Positive
    photos_per_shard: Count
    workers: NonNegativeInt


@component
class Split:
    validation_fraction: OpenFraction
    near_duplicate_bits: Annotated[int, Field(ge=-1, le=64)]


@component
class Model:
    pretrained: Annotated[str, Field(min_length=1)]
    backbone: Literal["resnet14", "resnet26", "resnet50", "resnet101"]
    backbone_width: Annotated[int, Field(ge=4, le=128)]
    train_bn: bool
    bn_momentum: OpenFraction
    image_max_dim: Annotated[int, Field(ge=64, le=4096, multiple_of=32)]
    mean_pixel: tuple[NonNegative, NonNegative, NonNegative]
    top_down_pyramid_size: Count
    rpn_channels: Count
    fpn_classif_fc_layers_size: Count
    mask_channels: Count
    rpn_anchor_scales: tuple[Positive, Positive, Positive, Positive, Positive]
    rpn_anchor_ratios: Annotated[tuple[Positive, ...], Field(min_length=1)]
    rpn_anchor_stride: Count
    rpn_nms_threshold: Fraction
    rpn_train_anchors_per_image: Annotated[int, Field(ge=2)]
    rpn_bbox_std_dev: FourPositive
    bbox_std_dev: FourPositive
    pre_nms_limit: Count
    post_nms_rois_training: Count
    post_nms_rois_inference: Count
    train_rois_per_image: Annotated[int, Field(ge=3)]
    roi_positive_ratio: OpenFraction
    proposals_include_gt: bool
    max_gt_instances: Count
    mini_mask_shape: Annotated[int, Field(ge=14)]
    pool_size: Annotated[int, Field(ge=2)]
    mask_pool_size: Annotated[int, Field(ge=2)]
    detection_max_instances: Count
    detection_min_confidence: Fraction
    detection_nms_threshold: Fraction


@component
class Augment:
    flip_probability: Fraction
    shift_fraction: Annotated[float, Field(ge=0.0, lt=1.0)]
    scale_range: tuple[Positive, Positive]


@component
class Loader:
    workers: NonNegativeInt
    prefetch_batches: Count


@component
class LossWeights:
    rpn_class_loss: NonNegative
    rpn_bbox_loss: NonNegative
    mrcnn_class_loss: NonNegative
    mrcnn_bbox_loss: NonNegative
    mrcnn_mask_loss: NonNegative


@component
class TrainingStage:
    epochs: Count
    learning_rate: Positive


@component
class Train:
    deterministic: bool
    mixed_precision: bool
    jit_compile: bool
    gpu_count: Count
    images_per_gpu: Count
    optimizer: Literal["sgd", "adamw"]
    learning_momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    weight_decay: NonNegative
    gradient_clip_norm: Positive
    warmup_steps: NonNegativeInt
    schedule: Literal["constant", "cosine"]
    loss_weights: LossWeights
    heads: TrainingStage
    finetune: TrainingStage


@component
class Predict:
    batch_size: Count


@component
class Evaluate:
    folds: Annotated[int, Field(ge=2)]
    score_thresholds: Annotated[tuple[Fraction, ...], Field(min_length=1)]
    nms_thresholds: Annotated[tuple[Fraction, ...], Field(min_length=1)]
    mask_thresholds: Annotated[tuple[OpenFraction, ...], Field(min_length=1)]
    min_areas: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    pictures: NonNegativeInt


@component
class Submit:
    message: str


@component
class Tracking:
    uri: str | None
    experiment: Annotated[str, Field(min_length=1)]


@component
class Params:
    seed: NonNegativeInt
    download: Download
    decode: Decode
    split: Split
    model: Model
    augment: Augment
    loader: Loader
    train: Train
    predict: Predict
    evaluate: Evaluate
    submit: Submit
    tracking: Tracking


def load_params(path: Path = PARAMS_FILE) -> Params:
    """The whole of params.yaml, checked.

    Raises:
        UserError: the file is missing or not YAML, or a key is missing, unknown, ill-typed or out of range.
    """
    return parse_params(read_yaml(path), path)


def parse_params(values: dict[str, Any], path: Path) -> Params:
    """`values` as read from `path` (named in errors only), checked."""
    try:
        # Strict JSON mode: no text taken for a number, but lists become tuples and mappings dataclasses.
        params = TypeAdapter(Params).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise UserError(f"{path}: {_describe(error)}") from None
    _check_between_keys(params, path)
    return params


def parse_model(values: dict[str, Any], path: Path) -> Model:
    """The `model` section alone, as stored beside weights."""
    try:
        return TypeAdapter(Model).validate_json(json.dumps(values))
    except ValidationError as error:
        raise UserError(f"{path}: model.{_describe(error)}") from None


def params_to_dict(params: Params) -> dict[str, Any]:
    """Inverse of `parse_params`: plain mappings, lists and scalars."""
    return TypeAdapter(Params).dump_python(params, mode="json")


def model_to_dict(model: Model) -> dict[str, Any]:
    """Inverse of `parse_model`."""
    return TypeAdapter(Model).dump_python(model, mode="json")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 mapping (there `1e-05` is a number, unlike in YAML 1.1)."""
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as YAML: {reason}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return values


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` -> `{"a.b": 1}`; order kept."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _describe(error: ValidationError) -> str:
    """All faults in one line, the key first."""
    faults = []
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        match fault["type"]:
            case "missing":
                faults.append(f"{key}: missing")
            case "unexpected_keyword_argument":
                faults.append(f"{key}: unknown key")
            case _:
                faults.append(f"{key}: {fault['msg'].lower()}, got {fault['input']!r}")
    return "; ".join(faults)


def _check_between_keys(params: Params, path: Path) -> None:
    """Rules that hold between keys."""
    if params.download.source == "folder" and not params.download.folder:
        raise UserError(
            f"{path}: download.folder: expected a folder because download.source is 'folder', got null"
        )
    low, high = params.augment.scale_range
    if low > high:
        raise UserError(f"{path}: augment.scale_range: expected [low, high], got [{low}, {high}]")
    if params.train.gpu_count > 1 and params.train.deterministic and params.train.jit_compile:
        raise UserError(f"{path}: train.jit_compile: expected false because train.deterministic is true")
