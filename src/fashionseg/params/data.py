"""Sections of the data path: download, decode, split, augment, loader."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fashionseg.params.types import (
    Count,
    Fraction,
    NonNegativeInt,
    OpenFraction,
    Positive,
    Seed,
    Text,
    component,
)

Quality = Annotated[int, Field(ge=1, le=100)]  # of a JPEG


@component
class Sample:
    train_photos: Annotated[int, Field(ge=10)]
    test_photos: Count
    seed: Seed


@component
class Download:
    source: Literal["sample", "folder", "coco", "kaggle"]
    folder: str | None
    competition: Text
    sample: Sample
    annotations: Text | tuple[Text, Text] | None = None

    @property
    def annotation_files(self) -> tuple[str, ...]:
        """The jsons of source `coco`: of all photos, or of those for training and those for validation."""
        given = self.annotations or ()
        return (given,) if isinstance(given, str) else given


# How a train.csv may differ from Kaggle's encoding.
Deviation = Literal["rows", "from_0", "start_end", "coco_counts", "exchanged_sizes"]


@component
class Decode:
    long_side: Annotated[int, Field(ge=32, le=8192)]
    jpeg_quality: Annotated[int, Field(ge=1, le=100)]
    min_area: Count
    encoding: tuple[Deviation, ...] | None
    max_megapixels: Annotated[float, Field(gt=0.0, le=2000.0)]  # pixel numbers have 32 bits
    photos_per_shard: Count
    workers: NonNegativeInt


@component
class Pose:
    model: Literal["none", "mediapipe"]
    control: bool


@component
class Split:
    validation_fraction: OpenFraction
    seed: Seed
    near_duplicate_bits: Annotated[int, Field(ge=-1, le=64)]
    folds: Annotated[int, Field(ge=2)] | None
    fold: NonNegativeInt


@component
class Augment:
    flip_probability: Fraction
    shift_fraction: Annotated[float, Field(ge=0.0, lt=1.0)]
    scale_range: tuple[Positive, Positive]
    random_crop: bool
    colour: Fraction
    jpeg_quality: tuple[Quality, Quality] | None


@component
class Loader:
    workers: NonNegativeInt | Literal["auto"]
    prefetch_batches: Count
