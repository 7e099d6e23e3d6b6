"""Search settings of tune.yaml, checked against params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from fashionseg.errors import UserError
from fashionseg.params import flatten, parse_section, read_yaml
from fashionseg.params.types import Count, NonNegativeInt, component

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
    startup_trials: Count
    warmup_epochs: NonNegativeInt


@component
class Tuning:
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    trials: Count
    seed: int
    pruning: Pruning
    space: Annotated[dict[str, Range | Choices], Field(min_length=1)]


def load_tuning(path: Path, params: dict[str, Any]) -> Tuning:
    """The settings in `path`; `params` are the sections of params.yaml.

    Raises:
        UserError: the file is missing or malformed, or a key is not in params.yaml or must not be searched.
    """
    tuning = parse_section(Tuning, read_yaml(path), path)
    known = flatten(params)
    for key in tuning.space:
        if key not in known:
            raise UserError(f"{path}: space.{key}: no such key in params.yaml")
        if any(f"{key}.".startswith(f"{section}.") for section in FIXED_SECTIONS):
            raise UserError(
                f"{path}: space.{key}: cannot be searched, trials with different values are not comparable"
            )
    return tuning
