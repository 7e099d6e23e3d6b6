"""The competition's csv from detections: `ImageId,EncodedPixels,ClassId`, one row per object.

Masks are pasted directly into the 512 x 512 frame. Two masks of one class in a photo share no pixel, starts ascend,
and every test photo has a row: the placeholder of sample_submission.csv for a photo without objects.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from fashionseg.data.rle import format_rle
from fashionseg.detections.bit_masks import to_runs
from fashionseg.detections.instances import Thresholds, find_instances
from fashionseg.detections.store import Detections, PhotoDetections
from fashionseg.errors import UserError
from fashionseg.parallel import map_photos
from fashionseg.storage.atomic import atomic_write
from fashionseg.taxonomy import Taxonomy, competition_taxonomy, format_class_id

HEADER = ("ImageId", "EncodedPixels", "ClassId")
_PLACEHOLDER_CATEGORY = 23  # the competition's; the last category where there are fewer


def write_submission(
    detections: Detections,
    thresholds: Thresholds,
    test_photos: Sequence[str],
    path: Path,
    taxonomy: Taxonomy | None = None,
) -> tuple[int, int]:
    """Writes the rows of all `test_photos`, by id and falling score.

    Args:
        taxonomy: of the detections; None: the competition's.

    Returns:
        The number of objects, and of photos predicted on without an object.

    Photos without instances and photos missing from the detections (not decoded) get the placeholder.

    Raises:
        UserError: detections of a photo that is not a test photo.
    """
    if strange := sorted({*detections.photos} - {*test_photos}):
        raise UserError(
            f"expected detections on test photos, got {len(strange)} other photos, first {strange[0]!r}"
        )
    found = map_photos(partial(_photo_rows, thresholds=thresholds), detections.of_photos(), "masks")
    last = (taxonomy or competition_taxonomy()).num_categories - 1
    placeholder = ("1 1", str(min(_PLACEHOLDER_CATEGORY, last)))
    rows = dict(zip(detections.photos, found, strict=True))
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for photo in sorted(test_photos):
            writer.writerows((photo, *row) for row in rows.get(photo) or [placeholder])
    return sum(map(len, found)), sum(not of_photo for of_photo in found)


def _photo_rows(detections: PhotoDetections, thresholds: Thresholds) -> list[tuple[str, str]]:
    """EncodedPixels and ClassId of each object, by falling score."""
    return [
        (format_rle(to_runs(instance.mask)), format_class_id(instance.category))
        for instance in find_instances(detections, thresholds)
    ]
