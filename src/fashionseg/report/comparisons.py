"""Validation photos to show in the report, each with its truth and its predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.records import PhotoSource
from fashionseg.data.tables import record_indices
from fashionseg.detections.bit_masks import FRAME, to_runs
from fashionseg.detections.instances import find_instances
from fashionseg.detections.photos import Photo
from fashionseg.metrics.competition import photo_scores
from fashionseg.metrics.evaluate import Evaluation
from fashionseg.report.pictures import Comparison
from fashionseg.taxonomy import competition_taxonomy, parse_class_id
from fashionseg.visualize import DrawnInstance


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
) -> Iterator[Comparison]:
    """Truth and prediction of the photos at `shown`, read one at a time."""
    scores = photo_scores(evaluation.out_of_fold)
    ids = [image_ids[place] for place in shown]
    source = PhotoSource(decoded, "train", record_indices(decoded, "train", ids))
    for number, place in enumerate(shown):
        detections, truths = photos[place]
        instances = find_instances(detections, evaluation.calibration.final)
        yield Comparison(
            image_id=ids[number],
            photo=decode_jpeg(source[number].jpeg),
            truths=[
                DrawnInstance.from_runs(int(category), runs, FRAME, attributes=_attributes(class_id))
                for category, class_id, runs in zip(
                    truths.categories, truths.class_ids, truths.runs, strict=True
                )
            ],
            predictions=[
                DrawnInstance.from_runs(its.category, to_runs(its.mask), FRAME, its.score)
                for its in instances
            ],
            note=f"score {scores[place]:.2f}",
        )


def _attributes(class_id: str) -> tuple[int, ...]:
    return parse_class_id(class_id, competition_taxonomy())[1]
