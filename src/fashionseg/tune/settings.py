"""Search settings of tune.yaml, checked against params.yaml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from fashionseg.errors import UserError
from fashionseg.params import flatten, read_yaml

TUNE_FILE = Path("tune.yaml")
# Scores on other photos, and losses with other weights, are not comparable between trials.
FIXED_SECTIONS = (
    "download",
    "decode",
    "split",
    "seed",
    "evaluate",
    "submit",
    "tracking",
    "train.loss_weights",
)

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
component = dataclass(frozen=True, kw_only=True, config=_STRICT)
Scalar = bool | int | float | str


@component
class Range:
    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> Range:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError("expected low < high, and low > 0 with log")
        return self


@component
class Choices:
    choices: Annotated[list[Scalar], Field(min_length=2)]


@component
class Pruning:
    startup_trials: Annotated[int, Field(ge=1)]
    warmup_epochs: Annotated[int, Field(ge=0)]


@component
class Tuning:
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    trials: Annotated[int, Field(ge=1)]
    seed: int
    pruning: Pruning
    space: Annotated[dict[str, Range | Choices], Field(min_length=1)]


def load_tuning(path: Path, params: dict[str, Any]) -> Tuning:
    """The settings in `path`; `params` are the sections of params.yaml.

    Raises:
        UserError: the file is missing or malformed, or a key is not in params.yaml or must not be searched.
    """
    try:
        tuning = TypeAdapter(Tuning).validate_json(json.dumps(read_yaml(path)))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise UserError(f"{path}: {key}: {fault['msg'].lower()}, got {fault['input']!r}") from None
    known = flatten(params)
    for key in tuning.space:
        if key not in known:
            raise UserError(f"{path}: space.{key}: no such key in params.yaml")
        if re.match(rf"({'|'.join(map(re.escape, FIXED_SECTIONS))})(\.|$)", key):
            raise UserError(
                f"{path}: space.{key}: cannot be searched, trials with different values are not comparable"
            )
    return tuning
