"""params.yaml as small frozen dataclasses: the one place that reads it, and the one that says what is allowed.

Values live in params.yaml only, so no field has a default; a missing, unknown or ill-typed key is one clear
`UserError` that names the file and the key.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fashionseg.errors import UserError

PARAMS_FILE = Path("params.yaml")

# What a file may hold: a hundred times what it does hold. Anchors of YAML make much out of little.
_MAX_BYTES = 2**20
_MAX_VALUES = 100_000
_MAX_DEPTH = 50
_MAX_FAULTS = 20  # told at once

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
component = dataclass(frozen=True, kw_only=True, config=_STRICT)

Count = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # as NumPy's and Keras's generators want it
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
OpenFraction = Annotated[float, Field(gt=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Choice = bool | Literal["auto"]
Section = TypeVar("Section")
FourPositive = tuple[Positive, Positive, Positive, Positive]


@component
class Sample:
    train_photos: Annotated[int, Field(ge=10)]
    test_photos: Count
    seed: Seed


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
    max_megapixels: Annotated[float, Field(gt=0.0, le=2000.0)]  # pixels are numbered in 32 bits
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
    train_mask_rois_per_image: Count
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
    workers: NonNegativeInt | Literal["auto"]
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
    mixed_precision: Choice
    jit_compile: Choice
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
    seed: Seed
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
        params = TypeAdapter(Params).validate_json(json.dumps(_plain(values, path)))
    except ValidationError as error:
        raise UserError(f"{path}: {_describe(error)}") from None
    _check_between_keys(params, path)
    return params


def parse_model(values: dict[str, Any], path: Path) -> Model:
    """The `model` section alone, as stored beside weights."""
    try:
        return TypeAdapter(Model).validate_json(json.dumps(_plain(values, path)))
    except ValidationError as error:
        raise UserError(f"{path}: model.{_describe(error)}") from None


def changed(section: Section, **values: Any) -> Section:
    """The params or a section of them with some values replaced, checked anew."""
    return type(section)(**{**vars(section), **values})


def params_to_dict(params: Params) -> dict[str, Any]:
    """Inverse of `parse_params`: plain mappings, lists and scalars."""
    return TypeAdapter(Params).dump_python(params, mode="json")


def model_to_dict(model: Model) -> dict[str, Any]:
    """Inverse of `parse_model`."""
    return TypeAdapter(Model).dump_python(model, mode="json")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 mapping (there `1e-05` is a number, unlike in YAML 1.1)."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise UserError(f"{path}: expected at most {_MAX_BYTES} bytes, got more")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about dialects of YAML; what is read is checked
        try:
            values = YAML(typ="safe", pure=True).load(data.decode("utf-8-sig"))
        except (YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(f"{path}: not readable as YAML: {_one_line(error)}") from None
        except Exception as error:  # of `seed: 2001-13-45`, `!!int x`, `!!bool maybe`: each another kind
            raise UserError(f"{path}: a value is not what it claims to be: {_one_line(error)}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return _plain(values, path)


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
        key = _one_line(".".join(str(part) for part in fault["loc"]), 120)
        match fault["type"]:
            case "missing":
                faults.append(f"{key}: missing")
            case "unexpected_keyword_argument":
                faults.append(f"{key}: unknown key")
            case _:
                faults.append(f"{key}: {fault['msg'].lower()}, got {_one_line(repr(fault['input']), 120)}")
    more = f"; and {len(faults) - _MAX_FAULTS} more" if len(faults) > _MAX_FAULTS else ""
    return "; ".join(faults[:_MAX_FAULTS]) + more


def _one_line(text: object, limit: int = 400) -> str:
    """A text from elsewhere as part of a message: blanks joined, nothing a terminal would obey, cut."""
    joined = " ".join(str(text).split())
    plain = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in joined)
    return plain if len(plain) <= limit else plain[:limit] + "..."


def _plain(values: object, path: Path) -> Any:
    """`values` as JSON can hold them: text, numbers, truth values, lists, mappings by text.

    Raises:
        UserError: anything else that YAML knows (bytes, sets), text that is none, or far too much of it.
    """
    count = 0

    def copy(value: object, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > _MAX_VALUES or depth > _MAX_DEPTH:
            raise UserError(
                f"{path}: expected at most {_MAX_VALUES} values, {_MAX_DEPTH} deep, got more (anchors count each "
                "time)"
            )
        match value:
            case None | bool() | float():
                return value
            case int():
                if abs(value) >= 2**63:
                    raise UserError(f"{path}: expected numbers of 64 bits, got one of {value.bit_length()}")
                return value
            case str():
                return _encodable(value, path)
            case date():
                return str(value)
            case list() | tuple():
                return [copy(item, depth + 1) for item in value]
            case dict():
                return {_text_key(key, path): copy(item, depth + 1) for key, item in value.items()}
        raise UserError(f"{path}: expected text, numbers, lists and mappings, got {type(value).__name__}")

    return copy(values, 0)


def _text_key(key: object, path: Path) -> str:
    if isinstance(key, str):
        return _encodable(key, path)
    raise UserError(f"{path}: expected keys of text, got {_one_line(repr(key), 120)}")


def _encodable(text: str, path: Path) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(
            f"{path}: expected text, got half a character in {_one_line(ascii(text), 120)}"
        ) from None
    return text


def _check_between_keys(params: Params, path: Path) -> None:
    """Rules that hold between keys."""
    if urlsplit(params.tracking.uri or "").password is not None:
        raise UserError(
            f"{path}: tracking.uri: expected an address without a password, as this file is committed and sent to the "
            "GPU host; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if params.download.source == "folder" and not params.download.folder:
        raise UserError(
            f"{path}: download.folder: expected a folder because download.source is 'folder', got null"
        )
    low, high = params.augment.scale_range
    if low > high:
        raise UserError(f"{path}: augment.scale_range: expected [low, high], got [{low}, {high}]")
    if params.train.gpu_count > 1 and params.train.deterministic and params.train.jit_compile:
        raise UserError(f"{path}: train.jit_compile: expected false because train.deterministic is true")
