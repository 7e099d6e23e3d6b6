"""The competition's csv from detections: `ImageId,EncodedPixels,ClassId`, one row per object.

Masks are pasted directly into the 512 x 512 frame. Two masks of one class in a photo share no pixel, starts ascend,
and every test photo has a row: the placeholder of sample_submission.csv for a photo without objects.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from fashionseg.data.rle import format_rle
from fashionseg.detections.bit_masks import to_runs
from fashionseg.detections.instances import Thresholds, find_instances
from fashionseg.detections.photos import PhotoDetections, cut_detections
from fashionseg.detections.store import Detections
from fashionseg.errors import UserError
from fashionseg.parallel import map_photos
from fashionseg.storage.atomic import atomic_write
from fashionseg.taxonomy import format_class_id

HEADER = ("ImageId", "EncodedPixels", "ClassId")
PLACEHOLDER = ("1 1", "23")

PhotoRows = list[tuple[str, str]]  # EncodedPixels and ClassId of each object


def write_submission(
    detections: Detections, thresholds: Thresholds, test_photos: Sequence[str], path: Path
) -> int:
    """Writes the rows of all `test_photos`, by id and falling score; returns the number of objects.

    Photos without instances and photos missing from the detections (not decoded) get the placeholder.

    Raises:
        UserError: detections of a photo that is not a test photo.
    """
    if strange := sorted({*detections.photos} - {*test_photos}):
        raise UserError(
            f"expected detections on test photos, got {len(strange)} other photos, first {strange[0]!r}"
        )
    rows = dict(zip(detections.photos, submission_rows(detections, thresholds), strict=True))
    write_rows(((photo, rows.get(photo, [])) for photo in sorted(test_photos)), path)
    return sum(len(of_photo) for of_photo in rows.values())


def submission_rows(detections: Detections, thresholds: Thresholds) -> list[PhotoRows]:
    """The rows of each photo by falling score, without placeholders."""
    work = cut_detections(detections)
    return map_photos(partial(_rows_of_photos, thresholds=thresholds), work, "masks")


def write_rows(photos: Iterable[tuple[str, PhotoRows]], path: Path) -> None:
    """Writes the csv, whole or not at all; a photo without rows gets the placeholder."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for photo, rows in photos:
            writer.writerows((photo, pixels, class_id) for pixels, class_id in rows or [PLACEHOLDER])


def _rows_of_photos(photos: list[PhotoDetections], thresholds: Thresholds) -> list[PhotoRows]:
    return [
        [
            (format_rle(to_runs(instance.mask)), format_class_id(instance.category))
            for instance in find_instances(detections, thresholds)
        ]
        for detections in photos
    ]
