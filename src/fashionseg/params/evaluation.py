"""Sections after training: predict, evaluate, submit, tracking."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fashionseg.params.types import Count, Fraction, NonNegativeInt, OpenFraction, Text, component


@component
class Predict:
    batch_size: Count


@component
class Evaluate:
    label: Literal["category", "classid"]
    folds: Annotated[int, Field(ge=2)]
    score_thresholds: Annotated[tuple[Fraction, ...], Field(min_length=1)]
    nms_thresholds: Annotated[tuple[Fraction, ...], Field(min_length=1)]
    garment_nms_thresholds: Annotated[tuple[Fraction, ...], Field(min_length=1)]
    mask_thresholds: Annotated[tuple[OpenFraction, ...], Field(min_length=1)]
    min_areas: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]
    pictures: NonNegativeInt


@component
class Submit:
    message: str


@component
class Tracking:
    uri: str | None
    experiment: Text
