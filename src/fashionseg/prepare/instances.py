"""Instances of one photo from its csv rows: masks at the stored size for training, at 512 x 512 for scoring.

Frames: masks are given in an image of Height x Width, which is the upright photo (EXIF applied), the photo as stored in
the file or, for two known photos, the photo rotated by 90 degrees. `match_frame` finds out which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fashionseg.data.rle import (
    COMPETITION_SIDE,
    Runs,
    mask_to_runs,
    overlap_when_shifted,
    parse_rle,
    repair_rle,
    resize_runs,
    runs_area,
    runs_to_mask,
)
from fashionseg.data.tables import Instance
from fashionseg.prepare.annotations import parse_size, repair_class_id
from fashionseg.prepare.csv_index import Row
from fashionseg.prepare.encoding import KAGGLE, Reading, to_kaggle
from fashionseg.prepare.faults import Fault, Outcome
from fashionseg.prepare.photo_header import Header
from fashionseg.taxonomy import Taxonomy, format_class_id

HW = tuple[int, int]


@dataclass(frozen=True)
class Frame:
    """How the csv's masks lie on the photo.

    `csv_hw` is the size the rows give, `mask_hw` the size in which runs are read, `photo_hw` the photo's as used;
    `upright`: EXIF is applied. `turned`: masks have to be rotated by 90 degrees, anticlockwise.
    """

    csv_hw: HW
    mask_hw: HW
    photo_hw: HW
    upright: bool
    turned: bool = False


def match_frame(rows: Sequence[Row], header: Header) -> tuple[Frame | None, str | None]:
    """The frame of a photo's rows and any repair needed; no frame if the sizes do not match."""
    sizes = []
    for row in rows:
        try:
            sizes.append(parse_size(row))
        except ValueError:
            continue
    if not sizes:
        return None, "Height, Width: no row gives whole numbers of at least 1"
    csv_hw = Counter(sizes).most_common(1)[0][0]
    upright_hw, file_hw = header.upright_hw, (header.height, header.width)
    if csv_hw == upright_hw:
        return Frame(csv_hw, csv_hw, upright_hw, upright=True), None
    if csv_hw == file_hw:
        frame = Frame(csv_hw, csv_hw, file_hw, upright=False)
        return frame, "Height, Width: as without the photo's EXIF orientation"
    if csv_hw == upright_hw[::-1]:
        if _columns_agree(rows, csv_hw, upright_hw):
            frame = Frame(csv_hw, csv_hw, upright_hw, upright=True, turned=True)
            return frame, "masks drawn on the photo turned by 90 degrees"
        return Frame(csv_hw, upright_hw, upright_hw, upright=True), "Height and Width exchanged"
    return None, f"Height, Width: expected the photo's {_text(upright_hw)}, got {_text(csv_hw)}"


def read_photo_instances(
    rows: Sequence[Row],
    frame: Frame,
    stored_hw: HW,
    min_area: int,
    taxonomy: Taxonomy,
    file: str,
    reading: Reading = KAGGLE,
) -> tuple[list[Instance], list[Fault]]:
    """The instances of one photo in the order of its rows, and a fault for every row that was dropped or repaired."""
    instances: list[Instance] = []
    faults: list[Fault] = []
    seen: dict[tuple[str, bytes], int] = {}
    for row in rows:

        def report(reason: str, outcome: Outcome, row: Row = row) -> None:
            faults.append(Fault(file, reason, outcome, row.image_id, row.line))

        try:
            if (size := parse_size(row)) != frame.csv_hw:
                raise ValueError(f"Height, Width: expected {_text(frame.csv_hw)}, got {_text(size)}")
            category, attributes, repairs = repair_class_id(row.class_id, taxonomy)
            text = to_kaggle(row.encoded_pixels, frame.mask_hw, reading)
            try:
                runs = parse_rle(text, *frame.mask_hw)
            except ValueError as error:
                runs = repair_rle(text, *frame.mask_hw)
                repairs.append(str(error))
        except ValueError as error:
            report(str(error), "dropped")
            continue
        key = (format_class_id(category, attributes), runs.tobytes())
        if key in seen:
            report(f"the same mask and class as row {seen[key]}", "dropped")
            continue
        seen[key] = row.line
        for reason in repairs:
            report(reason, "repaired")
        instance, shortcoming = _at_both_sizes(category, attributes, runs, frame, stored_hw, min_area)
        if instance is not None:
            instances.append(instance)
        if shortcoming is not None:
            report(shortcoming, "dropped" if instance is None else "scoring only")
    return instances, faults


def _at_both_sizes(
    category: int, attributes: tuple[int, ...], runs: Runs, frame: Frame, stored_hw: HW, min_area: int
) -> tuple[Instance | None, str | None]:
    if frame.turned:  # rare, so the cost of a full raster does not matter
        runs = mask_to_runs(np.rot90(runs_to_mask(runs, frame.mask_hw)))
    side = COMPETITION_SIDE
    # The competition's own rule for scoring; pixel centres for training, where masks must not shift on the photo.
    runs_512 = resize_runs(runs, frame.photo_hw, (side, side), centre=False)
    if len(runs_512) == 0:
        return None, f"no pixel left at {side} x {side}"
    stored = resize_runs(runs, frame.photo_hw, stored_hw, centre=True)
    if (area := runs_area(stored)) < min_area:
        instance = Instance(category, attributes, None, runs_512)
        return instance, f"{area} pixels at the stored size, below {min_area}"
    return Instance(category, attributes, stored, runs_512), None


def _columns_agree(rows: Sequence[Row], csv_hw: HW, photo_hw: HW) -> bool:
    """Whether masks read with the csv's height are at least as smooth from column to column as with the photo's."""
    overlaps = np.zeros(2, np.int64)
    for row in rows:
        try:
            runs = repair_rle(row.encoded_pixels, *csv_hw)
        except ValueError:
            continue
        overlaps += [overlap_when_shifted(runs, hw[0]) for hw in (csv_hw, photo_hw)]
    return bool(overlaps[0] >= overlaps[1])


def _text(hw: HW) -> str:
    return f"{hw[0]} x {hw[1]}"
