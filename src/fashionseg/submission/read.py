"""A submission file indexed by photo. Nothing is repaired: whatever is not exactly a submission becomes a `Fault`."""

from __future__ import annotations

import codecs
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from fashionseg.prepare.csv_index import CsvIndex, Layout, index_rows, open_lines, split_line
from fashionseg.prepare.faults import Fault, shorten
from fashionseg.submission.write import HEADER

# 131,072 runs, the most that 512 x 512 pixels hold, have under 2 MB of text.
MAX_LINE_BYTES = 4 * 2**20


def index_submission(path: Path) -> CsvIndex:
    """Indexes a submission file.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    positions = {name: position for position, name in enumerate(HEADER)}
    layout = Layout(path, positions, len(HEADER), MAX_LINE_BYTES, is_strict=True)
    faults: list[Fault] = []
    with open_lines(path) as file:
        if not _read_header(file, path, faults):
            return CsvIndex(layout, {}, 0, tuple(faults))
        index = index_rows(file, layout, faults, "refused")
    if index.num_rows == 0:
        faults.append(Fault(path.name, "expected a row for each test photo, got none", "refused"))
        return replace(index, faults=tuple(faults))
    return index


def _read_header(file: BinaryIO, path: Path, faults: list[Fault]) -> bool:
    """Whether rows can follow."""

    def refuse(reason: str, row: int | None = 1) -> bool:
        faults.append(Fault(path.name, reason, "refused", row=row))
        return False

    raw = file.readline(MAX_LINE_BYTES)
    expected = ",".join(HEADER)
    if not raw:
        return refuse(f"expected the header {expected}, got an empty file", row=None)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return refuse("expected UTF-8 text, got UTF-16")
    if raw.startswith(codecs.BOM_UTF8):
        refuse("expected plain UTF-8, got a byte order mark in front of the header")
        raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        names = tuple(split_line(raw, MAX_LINE_BYTES))
    except ValueError as error:
        return refuse(str(error))
    if names != HEADER:
        return refuse(f"expected the header {expected}, got {shorten(','.join(names), 80)}")
    return True
