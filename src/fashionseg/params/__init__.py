"""params.yaml as small frozen dataclasses: the only package that reads it and defines what is valid.

Values live in params.yaml only, so no field has a default; a missing, unknown or ill-typed key is one `UserError` that
names the file and the key. One module per part of the project: `data`, `model`, `training`, `evaluation`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from fashionseg.errors import UserError
from fashionseg.params.data import Augment, Decode, Download, Loader, Pose, Sample, Split
from fashionseg.params.evaluation import Evaluate, Predict, Submit, Tracking
from fashionseg.params.model import LATER_INFERENCE, SIZE_STEP, Inference, Model, Sampling
from fashionseg.params.training import Train, TrainingStage
from fashionseg.params.types import Seed, component
from fashionseg.params.yaml_file import flatten, one_line, plain_values, read_yaml

__all__ = [
    "LATER_INFERENCE",
    "PARAMS_FILE",
    "SIZE_STEP",
    "Augment",
    "Decode",
    "Download",
    "Evaluate",
    "Inference",
    "Loader",
    "Model",
    "Params",
    "Pose",
    "Predict",
    "Sample",
    "Sampling",
    "Split",
    "Submit",
    "Tracking",
    "Train",
    "TrainingStage",
    "changed",
    "flatten",
    "load_params",
    "parse_params",
    "parse_section",
    "read_yaml",
    "to_dict",
]

PARAMS_FILE = Path("params.yaml")
_MAX_FAULTS = 20  # reported at once

Section = TypeVar("Section")


@component
class Params:
    seed: Seed
    download: Download
    decode: Decode
    pose: Pose
    split: Split
    model: Model
    sampling: Sampling
    inference: Inference
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
    """`values` as read from `path` (named in errors only), checked, rules between keys included."""
    params = parse_section(Params, values, path)
    _check_between_keys(params, path)
    return params


def parse_section(section: type[Section], values: dict[str, Any], path: Path, name: str = "") -> Section:
    """`values` as a dataclass of this package.

    Args:
        section: `Params`, `Model`, ...
        values: plain mappings, lists and scalars.
        path: the file they come from, for errors.
        name: dotted place of the section in the file, for errors.

    Raises:
        UserError: a key is missing, unknown, ill-typed or out of range.
    """
    try:
        # Strict JSON mode: text is no number, but lists become tuples and mappings dataclasses.
        return TypeAdapter(section).validate_json(json.dumps(plain_values(values, path)))
    except ValidationError as error:
        raise UserError(f"{path}: {_describe(error, name)}") from None


def to_dict(section: Any) -> dict[str, Any]:
    """Inverse of `parse_section`: plain mappings, lists and scalars."""
    return TypeAdapter(type(section)).dump_python(section, mode="json", by_alias=True)


def changed(section: Section, values: Mapping[str, Any] | None = None, /, **named: Any) -> Section:
    """The params or a section of them with some values replaced, checked again.

    Args:
        section: a dataclass of this package; not changed.
        values: by dotted name, such as `{"model.backbone.width": 16}`.
        named: fields of `section` itself.
    """
    fields = dict(vars(section))
    inner: dict[str, dict[str, Any]] = {}
    for key, value in {**(values or {}), **named}.items():
        head, _, rest = key.partition(".")
        head = head if head in fields else f"{head}_"  # a key that is a keyword of Python
        if rest:
            inner.setdefault(head, {})[rest] = value
        else:
            fields[head] = value
    for head, below in inner.items():
        fields[head] = changed(fields[head], below)
    return type(section)(**fields)


def _describe(error: ValidationError, name: str) -> str:
    """All faults in one line, the key first."""
    faults = []
    for fault in error.errors(include_url=False):
        place = [*([name] if name else []), *(str(part) for part in fault["loc"])]
        key = one_line(".".join(place), 120)
        match fault["type"]:
            case "missing":
                faults.append(f"{key}: missing")
            case "unexpected_keyword_argument":
                faults.append(f"{key}: unknown key")
            case _:
                faults.append(f"{key}: {fault['msg'].lower()}, got {one_line(repr(fault['input']), 120)}")
    more = f"; and {len(faults) - _MAX_FAULTS} more" if len(faults) > _MAX_FAULTS else ""
    return "; ".join(faults[:_MAX_FAULTS]) + more


def _check_between_keys(params: Params, path: Path) -> None:
    """Rules between keys."""
    if urlsplit(params.tracking.uri or "").password is not None:
        raise UserError(
            f"{path}: tracking.uri: expected an address without a password, as this file is committed and sent to the "
            "GPU host; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    download = params.download
    needed = {"folder": ("folder",), "coco": ("folder", "annotations")}.get(download.source, ())
    for key in needed:
        if not getattr(download, key):
            what = {"folder": "a folder", "annotations": "a COCO json"}[key]
            raise UserError(
                f"{path}: download.{key}: expected {what} because download.source is '{download.source}', got null"
            )
    augment = params.augment
    for key, pair in (("scale_range", augment.scale_range), ("jpeg_quality", augment.jpeg_quality)):
        if pair is not None and pair[0] > pair[1]:
            raise UserError(f"{path}: augment.{key}: expected [low, high], got [{pair[0]}, {pair[1]}]")
    if params.split.folds is not None and params.split.fold >= params.split.folds:
        raise UserError(
            f"{path}: split.fold: expected 0 to {params.split.folds - 1} because split.folds is "
            f"{params.split.folds}, got {params.split.fold}"
        )
    heads = len(params.model.cascade.box_stds)
    for key in ("cascade_ious", "cascade_loss_factors"):
        if (got := len(getattr(params.sampling, key))) != heads:
            raise UserError(
                f"{path}: sampling.{key}: expected {heads} values, one for each row of model.cascade.box_stds, "
                f"got {got}"
            )
    if params.train.num_devices > 1 and params.train.deterministic and params.train.jit_compile:
        raise UserError(f"{path}: train.jit_compile: expected false because train.deterministic is true")
