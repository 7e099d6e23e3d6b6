"""Index of a csv with masks: one pass notes where each photo's rows lie, then any photo's rows are read by offset.

Memory grows with the number of photos, never with the length of the masks. Photos can be processed in parallel, and
rows of a photo need not be contiguous. A row that cannot be read becomes a `Fault`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fashionseg.errors import UserError
from fashionseg.prepare.csv_lines import Span, number_lines, open_lines, read_spans, split_line
from fashionseg.prepare.faults import Fault, Outcome, shorten

# A mask of the largest photo of the competition has under 1 MB of text; a longer line is damage, not data.
MAX_LINE_BYTES = 64 * 2**20

IMAGE_ID, ENCODED_PIXELS, CLASS_ID = "ImageId", "EncodedPixels", "ClassId"
HEIGHT, WIDTH = "Height", "Width"


@dataclass(frozen=True)
class Layout:
    """Columns of a csv and how its rows are read.

    `positions` gives the field of each column of `Row` that the file has. `is_strict`: blanks around a field belong to
    it and an empty line is a fault; otherwise both are ignored.
    """

    path: Path
    positions: dict[str, int]
    num_fields: int
    max_line_bytes: int
    is_strict: bool = False

    def fields(self, raw: bytes) -> list[str]:
        """The fields of one line.

        Raises:
            ValueError: a wrong number of fields (a truncated line, a comma in quotes), too long, or not UTF-8.
        """
        fields = split_line(raw, self.max_line_bytes)
        if len(fields) != self.num_fields:
            got = len(fields) if raw.strip() else "an empty line"
            raise ValueError(f"expected {self.num_fields} fields, got {got}")
        return fields if self.is_strict else [value.strip() for value in fields]


@dataclass(frozen=True)
class Row:
    """One line, its fields as text; empty where the file has no such column."""

    line: int
    image_id: str
    encoded_pixels: str = ""
    height: str = ""
    width: str = ""
    class_id: str = ""


@dataclass(frozen=True)
class CsvIndex:
    """Result of the first pass; `photos` by ImageId in the order of first appearance."""

    layout: Layout
    photos: dict[str, tuple[Span, ...]]
    num_rows: int
    faults: tuple[Fault, ...] = ()


def index_csv(path: Path, columns: Sequence[str]) -> CsvIndex:
    """Indexes a csv that has `columns` in any order; other columns are a fault and ignored.

    Raises:
        UserError: missing or empty file, not UTF-8, or a column missing or named twice.
    """
    faults: list[Fault] = []
    with open_lines(path) as file:
        layout = _read_header(file, path, columns, faults)
        return index_rows(file, layout, faults, "dropped")


def index_rows(file: BinaryIO, layout: Layout, faults: Sequence[Fault], outcome: Outcome) -> CsvIndex:
    """The first pass over the rows of an open file whose header has been read; unreadable rows become faults."""
    name = layout.path.name
    found = list(faults)
    spans: dict[str, list[Span]] = {}
    num_rows = 0
    for line, offset, raw in number_lines(file, 2, layout.max_line_bytes):
        if not (layout.is_strict or raw.strip()):
            continue
        num_rows += 1
        try:
            image_id = layout.fields(raw)[layout.positions[IMAGE_ID]]
            if not image_id:
                raise ValueError("ImageId: expected a file name, got nothing")
        except ValueError as error:
            found.append(Fault(name, str(error), outcome, row=line))
            continue
        of_photo = spans.setdefault(image_id, [])
        if of_photo and of_photo[-1].offset + of_photo[-1].length == offset:
            last = of_photo.pop()
            of_photo.append(Span(last.offset, last.length + len(raw), last.line))
        else:
            of_photo.append(Span(offset, len(raw), line))
    return CsvIndex(layout, {key: tuple(value) for key, value in spans.items()}, num_rows, tuple(found))


def read_rows(layout: Layout, spans: Iterable[Span]) -> Iterator[Row]:
    """The rows of one photo, in the order of the file."""
    order = [layout.positions.get(name) for name in (IMAGE_ID, ENCODED_PIXELS, HEIGHT, WIDTH, CLASS_ID)]
    for line, raw in read_spans(layout.path, spans):
        fields = layout.fields(raw)
        yield Row(line, *("" if position is None else fields[position] for position in order))


def _read_header(file: BinaryIO, path: Path, columns: Sequence[str], faults: list[Fault]) -> Layout:
    raw = file.readline(MAX_LINE_BYTES)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path}: expected UTF-8 text, got UTF-16")
    if not raw.strip():
        raise UserError(f"{path}: expected the columns {','.join(columns)}, got an empty line")
    try:
        names = [name.strip() for name in split_line(raw.removeprefix(codecs.BOM_UTF8), MAX_LINE_BYTES)]
    except ValueError as error:
        raise UserError(f"{path}: row 1: {error}") from None
    if missing := [name for name in columns if name not in names]:
        raise UserError(
            f"{path}: row 1: missing column {', '.join(missing)}; got {shorten(','.join(names), 80)}"
        )
    if repeated := [name for name in columns if names.count(name) > 1]:
        raise UserError(f"{path}: row 1: column {', '.join(repeated)} given twice")
    if extra := [name for name in names if name not in columns]:
        reason = f"columns not used: {shorten(', '.join(extra), 80)}"
        faults.append(Fault(path.name, reason, "ignored", row=1))
    return Layout(path.absolute(), {name: names.index(name) for name in columns}, len(names), MAX_LINE_BYTES)
