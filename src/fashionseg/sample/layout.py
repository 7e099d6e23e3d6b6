"""The sample in Kaggle's layout: train/, test/, train.csv, label_descriptions.json, sample_submission.csv."""

from __future__ import annotations

import csv
import functools
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import resources
from pathlib import Path

import cv2

from fashionseg.console import track
from fashionseg.sample.photos import Photo, draw_photo
from fashionseg.taxonomy import LABEL_DESCRIPTIONS

TRAIN_COLUMNS = ("ImageId", "EncodedPixels", "Height", "Width", "ClassId")
SUBMISSION_COLUMNS = ("ImageId", "EncodedPixels", "ClassId")
NO_DETECTION = ("1 1", "23")
PHOTOS_WORTH_A_POOL = 40  # fewer are drawn sooner than worker processes start


def write_sample(
    folder: Path, train_photos: int, test_photos: int, seed: int, workers: int | None = None
) -> None:
    """Draws the sample into an existing empty folder.

    The files depend on the counts and the seed only, not on `workers` (None: one per core).
    """
    train = sorted(_draw_subset(folder / "train", seed, train_photos, workers), key=lambda photo: photo[0])
    test = sorted(_draw_subset(folder / "test", seed, test_photos, workers), key=lambda photo: photo[0])
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TRAIN_COLUMNS)
        for _, rows in train:
            writer.writerows(rows)
    with (folder / "sample_submission.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SUBMISSION_COLUMNS)
        writer.writerows((image_id, *NO_DETECTION) for image_id, _ in test)
    labels = resources.files("fashionseg").joinpath(LABEL_DESCRIPTIONS).read_bytes()
    (folder / LABEL_DESCRIPTIONS).write_bytes(labels)


CsvRow = tuple[str, str, int, int, str]


def _draw_subset(folder: Path, seed: int, count: int, workers: int | None) -> list[tuple[str, list[CsvRow]]]:
    """Writes the photos of one subset; returns ids and rows."""
    folder.mkdir()
    written = []
    for photo in track(_photos(seed, folder.name, count, workers), f"drawing {folder.name}", count):
        (folder / photo.image_id).write_bytes(photo.jpeg)
        rows = [(row.image_id, row.encoded_pixels, row.height, row.width, row.class_id) for row in photo.rows]
        written.append((photo.image_id, rows))
    return written


def _photos(seed: int, subset: str, count: int, workers: int | None) -> Iterator[Photo]:
    draw = functools.partial(draw_photo, seed, subset)
    workers = workers or len(os.sched_getaffinity(0))
    if workers == 1 or count < PHOTOS_WORTH_A_POOL:
        yield from map(draw, range(count))
        return
    # Spawned, because a fork copies the locks of threads that the parent may run.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        yield from pool.map(draw, range(count), chunksize=4)
