"""A submission read as a stream: one pass notes where each photo's rows lie, then any photo's rows are read by offset.

Memory grows with the number of photos, never with the length of the masks, and photos can be worked on in parallel;
rows of a photo need not be contiguous. Nothing is mended: what is not exactly a submission becomes a `Fault`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fashionseg.prepare.annotations import shorten
from fashionseg.prepare.csv_lines import Span, number_lines, open_lines, read_spans, split_line
from fashionseg.submission.write import HEADER

# 131,072 runs, the most that 512 x 512 pixels hold, have under 2 MB of text.
MAX_LINE_BYTES = 4 * 2**20


@dataclass(frozen=True, order=True)
class Fault:
    """One thing wrong; `row` is the line of the file, from 1, the header included; 0 for the file as a whole."""

    row: int
    reason: str

    def __str__(self) -> str:
        return f"row {self.row}: {self.reason}" if self.row else self.reason


@dataclass(frozen=True)
class Row:
    """One line, its fields as text."""

    line: int
    image_id: str
    encoded_pixels: str
    class_id: str


@dataclass(frozen=True)
class SubmissionIndex:
    """What the first pass found; `photos` by ImageId in the order of first appearance."""

    path: Path
    photos: dict[str, tuple[Span, ...]]
    num_rows: int
    faults: tuple[Fault, ...]


def index_submission(path: Path) -> SubmissionIndex:
    """The first pass.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    spans: dict[str, list[Span]] = {}
    faults: list[Fault] = []
    num_rows = 0
    with open_lines(path) as file:
        if not _read_header(file, faults):
            return SubmissionIndex(path, {}, 0, tuple(faults))
        for line, offset, raw in number_lines(file, 2, MAX_LINE_BYTES):
            num_rows += 1
            try:
                image_id = _fields(raw)[0]
                if not image_id:
                    raise ValueError("ImageId: expected a photo's file name, got nothing")
            except ValueError as error:
                faults.append(Fault(line, str(error)))
                continue
            its = spans.setdefault(image_id, [])
            if its and its[-1].offset + its[-1].length == offset:
                its[-1] = Span(its[-1].offset, its[-1].length + len(raw), its[-1].line)
            else:
                its.append(Span(offset, len(raw), line))
    if num_rows == 0:
        faults.append(Fault(0, "expected a row for each test photo, got none"))
    photos = {image_id: tuple(its) for image_id, its in spans.items()}
    return SubmissionIndex(path, photos, num_rows, tuple(faults))


def read_rows(path: Path, spans: tuple[Span, ...]) -> Iterator[Row]:
    """The rows of one photo, in the order of the file."""
    for line, raw in read_spans(path, spans):
        image_id, encoded_pixels, class_id = _fields(raw)
        yield Row(line, image_id, encoded_pixels, class_id)


def _read_header(file: BinaryIO, faults: list[Fault]) -> bool:
    """Whether rows can follow."""
    raw = file.readline(MAX_LINE_BYTES)
    expected = ",".join(HEADER)
    if not raw:
        faults.append(Fault(0, f"expected the header {expected}, got an empty file"))
        return False
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        faults.append(Fault(1, "expected UTF-8 text, got UTF-16"))
        return False
    if raw.startswith(codecs.BOM_UTF8):
        faults.append(Fault(1, "expected plain UTF-8, got a byte order mark in front of the header"))
        raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        names = tuple(split_line(raw, MAX_LINE_BYTES))
    except ValueError as error:
        faults.append(Fault(1, str(error)))
        return False
    if names != HEADER:
        faults.append(Fault(1, f"expected the header {expected}, got {shorten(','.join(names), 80)}"))
        return False
    return True


def _fields(raw: bytes) -> list[str]:
    fields = split_line(raw, MAX_LINE_BYTES)
    if len(fields) != len(HEADER):
        raise ValueError(
            f"expected {len(HEADER)} fields, got {len(fields) if raw.strip() else 'an empty line'}"
        )
    return fields
