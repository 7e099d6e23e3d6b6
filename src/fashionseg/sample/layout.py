"""Files of the sample in Kaggle's layout: photos, train.csv, label_descriptions.json, sample_submission.csv."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from fashionseg.console import track
from fashionseg.parallel import available_cores, ordered_map
from fashionseg.sample.photos import TrainRow, draw_photo
from fashionseg.taxonomy import LABEL_DESCRIPTIONS

TRAIN_COLUMNS = ("ImageId", "EncodedPixels", "Height", "Width", "ClassId")
SUBMISSION_COLUMNS = ("ImageId", "EncodedPixels", "ClassId")
NO_DETECTION = ("1 1", "23")
PHOTOS_WORTH_A_POOL = 40  # fewer photos are drawn in less time than worker processes need to start
TO_SAVE_MEMORY = "run again on fewer cores, as in `taskset -c 0 COMMAND`"


def write_sample(
    folder: Path, train_photos: int, test_photos: int, seed: int, workers: int | None = None
) -> None:
    """Draws the sample into an existing empty folder.

    The files depend on the counts and the seed only, not on `workers` (None: one per core).
    """
    train = _draw_subset(folder / "train", seed, train_photos, workers)
    test = _draw_subset(folder / "test", seed, test_photos, workers)
    _write_csv(folder / "train.csv", TRAIN_COLUMNS, (row for _, rows in train for row in rows))
    no_detections = ((image_id, *NO_DETECTION) for image_id, _ in test)
    _write_csv(folder / "sample_submission.csv", SUBMISSION_COLUMNS, no_detections)
    labels = resources.files("fashionseg").joinpath(LABEL_DESCRIPTIONS).read_bytes()
    (folder / LABEL_DESCRIPTIONS).write_bytes(labels)


def _draw_subset(
    folder: Path, seed: int, count: int, workers: int | None
) -> list[tuple[str, tuple[TrainRow, ...]]]:
    """Writes the photos of one subset; returns image ids and rows, sorted by id."""
    folder.mkdir()
    draw = functools.partial(draw_photo, seed, folder.name)
    workers = 1 if count < PHOTOS_WORTH_A_POOL else workers or available_cores()
    photos = ordered_map(draw, range(count), workers, TO_SAVE_MEMORY)
    written = []
    for photo in track(photos, f"drawing {folder.name}", count):
        (folder / photo.image_id).write_bytes(photo.jpeg)
        written.append((photo.image_id, photo.rows))
    return sorted(written)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
