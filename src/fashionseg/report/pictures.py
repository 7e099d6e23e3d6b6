"""Validation photos with ground truth and prediction side by side, one PNG per photo."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.poses import Poses
from fashionseg.data.records import PhotoSource
from fashionseg.data.tables import record_indices
from fashionseg.detections.bit_masks import FRAME, to_runs
from fashionseg.detections.instances import find_instances
from fashionseg.detections.photos import Photo
from fashionseg.metrics.competition import photo_scores
from fashionseg.metrics.evaluate import Evaluation
from fashionseg.storage.atomic import atomic_directory
from fashionseg.taxonomy import Taxonomy, parse_class_id
from fashionseg.visualize import OutlinedInstance, jpeg_bytes, side_by_side, write_png


@dataclass(frozen=True, eq=False)
class Comparison:
    """One photo (uint8 RGB [H, W, 3]) with its ground-truth and predicted instances.

    `note` follows the photo's name in the title, such as `score 0.41`; `landmarks` [33, 3] are those of the pose.
    """

    image_id: str
    photo: np.ndarray
    truths: list[OutlinedInstance]
    predictions: list[OutlinedInstance]
    note: str = ""
    landmarks: np.ndarray | None = None


@dataclass(frozen=True)
class Picture:
    """A written picture: file, title, and a JPEG for the report."""

    path: Path
    title: str
    jpeg: bytes = field(repr=False)


def choose_photos(image_ids: Sequence[str], photos: Sequence[Photo], count: int) -> list[int]:
    """Places of `count` photos with truths, drawn by a hash of their ids: all runs on a split show the same photos."""
    drawn = sorted(
        (hashlib.blake2b(image_id.encode()).digest(), place)
        for place, (image_id, (_, truths)) in enumerate(zip(image_ids, photos, strict=True))
        if len(truths)
    )
    return [place for _, place in drawn[:count]]


def compare(
    shown: Sequence[int],
    image_ids: Sequence[str],
    photos: Sequence[Photo],
    evaluation: Evaluation,
    decoded: Path,
    taxonomy: Taxonomy,
    poses: Poses | None = None,
) -> Iterator[Comparison]:
    """Truth and prediction of the photos at `shown`, read one at a time.

    Args:
        poses: of the photos at `shown`, if there are any.
    """
    scores = photo_scores(evaluation.out_of_fold["category"])
    ids = [image_ids[place] for place in shown]
    source = PhotoSource(decoded, "train", record_indices(decoded, "train", ids))
    for number, place in enumerate(shown):
        detections, truths = photos[place]
        objects = zip(truths.categories.tolist(), truths.class_ids, truths.runs, strict=True)
        instances = find_instances(detections, evaluation.calibration.final)
        yield Comparison(
            ids[number],
            decode_jpeg(source[number].jpeg),
            [
                OutlinedInstance.from_runs(category, runs, FRAME, None, parse_class_id(class_id, taxonomy)[1])
                for category, class_id, runs in objects
            ],
            [
                OutlinedInstance.from_runs(its.category, to_runs(its.mask), FRAME, its.score)
                for its in instances
            ],
            f"score {scores[place]:.2f}",
            None if poses is None else poses[number].landmarks,
        )


def write_pictures(directory: Path, comparisons: Iterable[Comparison], taxonomy: Taxonomy) -> list[Picture]:
    """Replaces `directory` by `01_<image id>.png`, `02_...`, in the order given; no comparisons leave it empty.

    The photos are consumed one at a time, so `comparisons` may be a generator that reads them.
    """
    pictures = []
    with atomic_directory(directory) as temporary:
        for number, comparison in enumerate(comparisons, 1):
            title = " · ".join(part for part in (comparison.image_id, comparison.note) if part)
            drawn = side_by_side(
                comparison.photo,
                comparison.truths,
                comparison.predictions,
                title,
                comparison.landmarks,
                taxonomy,
            )
            # File systems may refuse other characters.
            stem = re.sub(r"[^A-Za-z0-9._-]", "_", Path(comparison.image_id).stem)
            name = f"{number:02d}_{stem}.png"
            write_png(temporary / name, drawn)
            pictures.append(Picture(directory / name, title, jpeg_bytes(drawn)))
    return pictures
