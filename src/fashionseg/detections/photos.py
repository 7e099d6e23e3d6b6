"""Detections and ground truth of single photos: the unit of work of the worker processes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashionseg.data.rle import Runs
from fashionseg.data.splits import read_split
from fashionseg.data.truths import Truths, read_truths
from fashionseg.detections.bit_masks import BitMask, from_runs
from fashionseg.detections.store import Detections, PhotoDetections, read_detections
from fashionseg.errors import UserError


@dataclass(frozen=True, eq=False)
class PhotoTruths:
    """The T objects of one photo: categories int16 [T], and the ClassId and the 512 x 512 mask of each."""

    categories: np.ndarray
    class_ids: tuple[str, ...]
    runs: tuple[Runs, ...]

    def __len__(self) -> int:
        return len(self.runs)

    def masks(self) -> list[BitMask]:
        return [from_runs(runs) for runs in self.runs]


Photo = tuple[PhotoDetections, PhotoTruths]


def cut_truths(truths: Truths) -> list[PhotoTruths]:
    """One for each of `truths.photos`."""
    return [
        PhotoTruths(truths.categories[start:end], truths.class_ids[start:end], truths.runs[start:end])
        for start, end in itertools.pairwise(truths.offsets.tolist())
    ]


def pair_photos(detections: Detections, truths: Truths) -> list[Photo]:
    """Detections and truths of each photo.

    Raises:
        ValueError: they do not cover the same photos.
    """
    if detections.photos != truths.photos:
        raise ValueError("photos: expected detections and truths of the same photos")
    return list(zip(detections.of_photos(), cut_truths(truths), strict=True))


def read_validation_photos(
    decoded: Path, splits: Path, predictions: Path
) -> tuple[tuple[str, ...], list[Photo]]:
    """The ids of the validation photos, ascending, and each photo's stored detections and truths.

    Raises:
        UserError: a file is missing or damaged, or the detections are of other photos.
    """
    detections = read_detections(predictions)
    _, validation = read_split(splits)
    if list(detections.photos) != sorted(validation):
        raise UserError(
            f"{predictions}: expected detections on the {len(validation)} validation photos of {splits}, "
            f"got {len(detections.photos)} other photos; run the stage predict"
        )
    return detections.photos, pair_photos(detections, read_truths(decoded, detections.photos))
