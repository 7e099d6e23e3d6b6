"""Index of a csv with masks: one pass notes where each photo's rows lie, then any photo's rows are read by offset.

Memory grows with the number of photos, never with the length of the masks. Photos can be processed in parallel, and
rows of a photo need not be contiguous. A line is a row: quoted text with line breaks, which csv allows, does not occur
in the competition's files. A row that cannot be read becomes a `Fault`.
"""

from __future__ import annotations

import codecs
import csv
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fashionseg.errors import UserError
from fashionseg.prepare.faults import Fault, Outcome, shorten

# A mask of the largest photo of the competition has under 1 MB of text; a longer line is damage, not data.
MAX_LINE_BYTES = 64 * 2**20

COLUMNS = ("ImageId", "EncodedPixels", "Height", "Width", "ClassId")


@dataclass(frozen=True)
class Span:
    """Contiguous lines: byte offset, bytes, and the number of the first line."""

    offset: int
    length: int
    line: int


@dataclass(frozen=True)
class Layout:
    """Columns of a csv and how its rows are read.

    `positions` gives the field of each of COLUMNS that the file has. `is_strict`: blanks around a field belong to it
    and an empty line is a fault; otherwise both are ignored.
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
    """One line, its fields as text; empty where the file has no such column. Fields in the order of COLUMNS."""

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


def index_annotations(path: Path) -> CsvIndex:
    """Indexes a csv in train.csv's form: COLUMNS in any order; other columns are a fault and ignored.

    Raises:
        UserError: missing or empty file, not UTF-8, or a column missing or named twice.
    """
    with open_lines(path) as file:
        layout, faults = _read_header(file, path)
        return index_rows(file, layout, faults, "dropped")


def index_rows(file: BinaryIO, layout: Layout, faults: Sequence[Fault], outcome: Outcome) -> CsvIndex:
    """The first pass over the rows of an open file whose header has been read; unreadable rows become faults."""
    found = list(faults)
    spans: dict[str, list[Span]] = {}
    num_rows = 0
    for line, offset, raw in _number_lines(file, layout.max_line_bytes):
        if not (layout.is_strict or raw.strip()):
            continue
        num_rows += 1
        try:
            image_id = layout.fields(raw)[layout.positions["ImageId"]]
            if not image_id:
                raise ValueError("ImageId: expected a file name, got nothing")
        except ValueError as error:
            found.append(Fault(layout.path.name, str(error), outcome, row=line))
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
    order = [layout.positions.get(name) for name in COLUMNS]
    with layout.path.open("rb") as file:
        for span in spans:
            file.seek(span.offset)
            lines = file.read(span.length).removesuffix(b"\n").split(b"\n")
            for line, raw in enumerate(lines, span.line):
                fields = layout.fields(raw)
                yield Row(line, *("" if position is None else fields[position] for position in order))


def open_lines(path: Path) -> BinaryIO:
    """Opens the file for reading bytes.

    Raises:
        UserError: missing, or cannot be read.
    """
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def split_line(raw: bytes, max_bytes: int) -> list[str]:
    """The fields of one line.

    Raises:
        ValueError: too long, not UTF-8, or unbalanced quotes.
    """
    if len(raw) >= max_bytes:
        raise ValueError(f"expected a line below {max_bytes} bytes, got a longer one")
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("expected UTF-8 text, got other bytes") from None
    if '"' not in text:
        return text.split(",")
    # Quotes are rare, so only lines with them pay for the csv reader.
    limit = csv.field_size_limit(max_bytes)
    try:
        return next(csv.reader([text], strict=True))
    except (csv.Error, StopIteration) as error:
        raise ValueError(f"not a line of csv: {error}") from None
    finally:
        csv.field_size_limit(limit)


def is_plain_text(name: str) -> bool:
    """Whether a line of a csv can hold a file's name: no control characters, and no bytes that are not UTF-8."""
    return name.isprintable() or not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


def _number_lines(file: BinaryIO, max_bytes: int) -> Iterator[tuple[int, int, bytes]]:
    """Line number, offset and bytes of each line after the header.

    Only the beginning of a line of `max_bytes` or more, which `split_line` refuses.
    """
    offset = file.tell()
    line = 2
    while raw := file.readline(max_bytes):
        yield line, offset, raw
        offset += len(raw)
        while not raw.endswith(b"\n") and len(raw) == max_bytes:
            raw = file.readline(max_bytes)
            offset += len(raw)
        line += 1


def _read_header(file: BinaryIO, path: Path) -> tuple[Layout, list[Fault]]:
    raw = file.readline(MAX_LINE_BYTES)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path}: expected UTF-8 text, got UTF-16")
    if not raw.strip():
        raise UserError(f"{path}: expected the columns {','.join(COLUMNS)}, got an empty line")
    try:
        names = [name.strip() for name in split_line(raw.removeprefix(codecs.BOM_UTF8), MAX_LINE_BYTES)]
    except ValueError as error:
        raise UserError(f"{path}: row 1: {error}") from None
    if missing := [name for name in COLUMNS if name not in names]:
        raise UserError(
            f"{path}: row 1: missing column {', '.join(missing)}; got {shorten(','.join(names), 80)}"
        )
    if repeated := [name for name in COLUMNS if names.count(name) > 1]:
        raise UserError(f"{path}: row 1: column {', '.join(repeated)} given twice")
    faults = []
    if extra := [name for name in names if name not in COLUMNS]:
        reason = f"columns not used: {shorten(', '.join(extra), 80)}"
        faults.append(Fault(path.name, reason, "ignored", row=1))
    positions = {name: names.index(name) for name in COLUMNS}
    return Layout(path.absolute(), positions, len(names), MAX_LINE_BYTES), faults
