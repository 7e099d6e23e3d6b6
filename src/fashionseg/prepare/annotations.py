"""train.csv read as a stream: one pass notes where each photo's rows lie, then any photo's rows are read by offset.

Memory grows with the number of photos, never with the length of the masks; rows of a photo need not be contiguous.
A row that cannot be used is left out and becomes a `Fault`; only a file that cannot be train.csv at all is refused.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from fashionseg.errors import UserError
from fashionseg.prepare.csv_lines import Span, number_lines, open_lines, read_spans, split_line
from fashionseg.taxonomy import Taxonomy, parse_class_id

COLUMNS = ("ImageId", "EncodedPixels", "Height", "Width", "ClassId")
# A mask of the largest photo of the competition has under 1 MB of text; a longer line is damage, not data.
MAX_LINE_BYTES = 64 * 2**20
# Masks are resized through tables as long as a side of the photo.
MAX_SIDE = 1_000_000
# The groups of categories 0-12, the only ones that carry attributes.
GARMENT_GROUPS = frozenset({"upperbody", "lowerbody", "wholebody"})

Outcome = Literal["dropped", "repaired", "scoring only", "ignored"]


@dataclass(frozen=True)
class Fault:
    """One thing found wrong and what was done about it; `row` is the line of the csv, from 1, the header included."""

    file: str
    reason: str
    outcome: Outcome
    image_id: str | None = None
    row: int | None = None


@dataclass(frozen=True)
class Layout:
    """Where the columns stand in a csv."""

    path: Path
    positions: tuple[int, ...]  # of COLUMNS
    num_fields: int


@dataclass(frozen=True)
class RowIndex:
    """What the first pass found; `photos` by ImageId in the order of first appearance."""

    layout: Layout
    photos: dict[str, tuple[Span, ...]]
    num_rows: int
    faults: tuple[Fault, ...] = field(default=())


@dataclass(frozen=True)
class Row:
    """One line, its fields as text."""

    line: int
    image_id: str
    encoded_pixels: str
    height: str
    width: str
    class_id: str


def index_rows(path: Path) -> RowIndex:
    """The first pass over a csv in train.csv's form.

    Raises:
        UserError: missing or empty file, not UTF-8, or a column missing or named twice.
    """
    faults: list[Fault] = []
    spans: dict[str, list[Span]] = {}
    open_span: tuple[str, int, int] | None = None  # image id, offset, first line
    num_rows = 0

    def close_span(end: int) -> None:
        nonlocal open_span
        if open_span is not None:
            image_id, offset, line = open_span
            spans.setdefault(image_id, []).append(Span(offset, end - offset, line))
            open_span = None

    with open_lines(path) as file:
        layout = _read_header(file, path, faults)
        for line, offset, raw in number_lines(file, 2, MAX_LINE_BYTES):
            if not raw.strip():
                close_span(offset)
                continue
            num_rows += 1
            try:
                image_id = _fields(raw, layout)[layout.positions[0]]
                if not image_id:
                    raise ValueError("ImageId: expected a file name, got nothing")
            except ValueError as error:
                close_span(offset)
                faults.append(Fault(path.name, str(error), "dropped", row=line))
            else:
                if open_span is None or open_span[0] != image_id:
                    close_span(offset)
                    open_span = (image_id, offset, line)
        close_span(file.tell())
    return RowIndex(layout, {key: tuple(value) for key, value in spans.items()}, num_rows, tuple(faults))


def read_rows(layout: Layout, spans: Iterable[Span]) -> Iterator[Row]:
    """The rows of one photo, in the order of the file."""
    for line, raw in read_spans(layout.path, spans):
        fields = _fields(raw, layout)
        yield Row(line, *(fields[position] for position in layout.positions))


def parse_size(row: Row) -> tuple[int, int]:
    """(height, width) of a row.

    Raises:
        ValueError: not whole numbers from 1 to MAX_SIDE.
    """

    def number(name: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
            raise ValueError(f"{name}: expected a whole number of at least 1, got {shorten(text)}")
        if int(text) > MAX_SIDE:
            raise ValueError(f"{name}: expected at most {MAX_SIDE}, got {shorten(text)}")
        return int(text)

    return number("Height", row.height), number("Width", row.width)


def repair_class_id(class_id: str, taxonomy: Taxonomy) -> tuple[int, tuple[int, ...], list[str]]:
    """Category, attributes and what had to be left out of a ClassId.

    Unknown attributes, repeats and attributes on categories that have none (three such rows are known) are left
    out; the order of the others is mended.

    Raises:
        ValueError: malformed, or an unknown category.
    """
    parts = class_id.split("_")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise ValueError(f"ClassId: expected numbers joined by '_', got {shorten(class_id)}")
    category, _ = parse_class_id(parts[0], taxonomy)
    given = [int(part) for part in parts[1:]]
    reasons = []
    known = sorted({attribute for attribute in given if attribute < taxonomy.num_attributes})
    if any(attribute >= taxonomy.num_attributes for attribute in given):
        reasons.append(
            f"ClassId: expected attributes below {taxonomy.num_attributes}, got {shorten(class_id)}"
        )
    elif known != given:
        reasons.append(f"ClassId: expected ascending attributes without repeats, got {shorten(class_id)}")
    if known and taxonomy.category_groups[category] not in GARMENT_GROUPS:
        reasons.append(f"ClassId: category {category} has no attributes, got {shorten(class_id)}")
        known = []
    return category, tuple(known), reasons


def shorten(text: str, limit: int = 40) -> str:
    """`text` quoted and, for messages of one line, cut."""
    return repr(text if len(text) <= limit else text[:limit] + "...")


def _read_header(file: BinaryIO, path: Path, faults: list[Fault]) -> Layout:
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
    if extra := [name for name in names if name not in COLUMNS]:
        reason = f"columns not used: {shorten(', '.join(extra), 80)}"
        faults.append(Fault(path.name, reason, "ignored", row=1))
    return Layout(path.absolute(), tuple(names.index(name) for name in COLUMNS), len(names))


def _fields(raw: bytes, layout: Layout) -> list[str]:
    """The fields of one line, blanks around them removed.

    Raises:
        ValueError: a wrong number of fields (a line cut short, a comma in quotes), too long, or not UTF-8.
    """
    fields = [value.strip() for value in split_line(raw, MAX_LINE_BYTES)]
    if len(fields) != layout.num_fields:
        raise ValueError(f"expected {layout.num_fields} fields, got {len(fields)}")
    return fields
