"""Whether the competition would take a submission: every fault found, with its row."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from fashionseg.data.rle import COMPETITION_SIDE, Runs, parse_rle
from fashionseg.errors import UserError
from fashionseg.parallel import map_photos
from fashionseg.prepare.csv_index import CsvIndex, Layout, Row, Span, is_plain_text, read_rows
from fashionseg.prepare.faults import Fault, shorten
from fashionseg.submission.read import index_submission
from fashionseg.taxonomy import Taxonomy, competition_taxonomy, format_class_id, parse_class_id


def check_submission(
    path: Path, test_photos: Iterable[str] | None = None, taxonomy: Taxonomy | None = None
) -> list[Fault]:
    """All faults by row; none for a valid file.

    Args:
        path: of the file.
        test_photos: each needs a row; None: any ImageId is taken.
        taxonomy: of its ClassIds; None: the competition's.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    return check_index(index_submission(path), test_photos, taxonomy)


def check_index(
    index: CsvIndex, test_photos: Iterable[str] | None = None, taxonomy: Taxonomy | None = None
) -> list[Fault]:
    """As `check_submission`, of a file already indexed."""
    faults = list(index.faults)
    taxonomy = taxonomy or competition_taxonomy()
    check = partial(_check_photo, layout=index.layout, taxonomy=taxonomy, longest=_longest_class_id(taxonomy))
    for of_photo in map_photos(check, list(index.photos.values()), "check"):
        faults += of_photo
    if test_photos is not None and index.photos:
        faults += _compare_photos(index, set(test_photos))
    return sorted(faults, key=lambda fault: (fault.row is None, fault.row, fault.reason))


def list_test_photos(folder: Path, may_be_none: bool = False) -> list[str]:
    """The file names in a folder of test photos; hidden ones left out, and those that no submission can hold.

    Raises:
        UserError: no such folder, or an empty one unless `may_be_none`.
    """
    try:
        names = sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.is_file() and not entry.name.startswith(".") and is_plain_text(entry.name)
        )
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder}: no such folder") from None
    if not names and not may_be_none:
        raise UserError(f"{folder}: expected test photos, found none")
    return names


def _compare_photos(index: CsvIndex, test_photos: set[str]) -> list[Fault]:
    file = index.layout.path.name
    faults = [
        _refused(file, f"ImageId: expected a test photo, got {shorten(image_id)}", spans[0].line)
        for image_id, spans in index.photos.items()
        if image_id not in test_photos
    ]
    missing = sorted(test_photos - index.photos.keys())
    return faults + [_refused(file, f"no row for the test photo {shorten(image_id)}") for image_id in missing]


def _longest_class_id(taxonomy: Taxonomy) -> int:
    """Characters of the one with all attributes."""
    return len(format_class_id(taxonomy.num_categories, tuple(range(taxonomy.num_attributes))))


def _check_photo(spans: tuple[Span, ...], layout: Layout, taxonomy: Taxonomy, longest: int) -> list[Fault]:
    rows, file = list(read_rows(layout, spans)), layout.path.name
    faults: list[Fault] = []
    masks: dict[str, list[tuple[Row, Runs]]] = {}
    for row in rows:
        if reason := _class_id_fault(row.class_id, taxonomy, longest):
            faults.append(_refused(file, reason, row.line))
        if row.encoded_pixels == "" and len(rows) == 1:
            continue  # a photo in which nothing was found; the winner of the competition wrote it so
        try:
            runs = parse_rle(row.encoded_pixels, COMPETITION_SIDE, COMPETITION_SIDE)
        except ValueError as error:
            faults.append(_refused(file, str(error), row.line))
        else:
            masks.setdefault(row.class_id, []).append((row, runs))
    for class_id, of_class in masks.items():
        faults += [_refused(file, reason, line) for line, reason in _overlaps(class_id, of_class)]
    return faults


def _refused(file: str, reason: str, row: int | None = None) -> Fault:
    return Fault(file, reason, "refused", row=row)


def _class_id_fault(class_id: str, taxonomy: Taxonomy, longest: int) -> str | None:
    if len(class_id) > longest:
        return f"ClassId: expected at most {longest} characters, got {len(class_id)}"
    try:
        category, attributes = parse_class_id(class_id, taxonomy)
    except ValueError as error:
        return str(error)
    plain = format_class_id(category, attributes)
    return None if plain == class_id else f"ClassId: expected {plain!r}, got {class_id!r}"


def _overlaps(class_id: str, masks: list[tuple[Row, Runs]]) -> list[tuple[int, str]]:
    """Row and reason of each mask that shares pixels with earlier ones of its class in the photo."""
    every = np.concatenate([runs for _, runs in masks])
    every = every[np.argsort(every[:, 0], kind="stable")]
    if (every[1:, 0] >= every[:-1].sum(axis=1)).all():  # the usual case, without a raster
        return []
    faults = []
    owners = np.full(COMPETITION_SIDE**2, -1, np.int64)  # of each pixel: the place of its first mask
    for place, (row, runs) in enumerate(masks):
        pixels = np.concatenate([np.arange(start, start + length) for start, length in runs.tolist()])
        taken = owners[pixels][owners[pixels] >= 0]
        if len(taken):
            other, other_runs = masks[int(taken.min())]
            if np.array_equal(runs, other_runs):
                reason = f"the same mask and class as row {other.line}"
            else:
                reason = f"{len(taken)} pixels shared with earlier rows of class {class_id}, first row {other.line}"
            faults.append((row.line, reason))
        owners[pixels[owners[pixels] < 0]] = place
    return faults
