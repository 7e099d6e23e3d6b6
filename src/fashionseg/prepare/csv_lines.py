"""Lines of a csv file with their offsets, so that any line can be read again without keeping it in memory.

A line is a row: quoted text with line breaks, which csv allows, does not occur in the competition's files.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fashionseg.errors import UserError


@dataclass(frozen=True)
class Span:
    """Contiguous lines: byte offset, bytes, and the number of the first line."""

    offset: int
    length: int
    line: int


def is_plain_text(name: str) -> bool:
    """Whether a line of a csv can hold a file's name: no control characters, and no bytes that are not UTF-8."""
    return name.isprintable() or not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name)


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


def number_lines(file: BinaryIO, first: int, max_bytes: int) -> Iterator[tuple[int, int, bytes]]:
    """Line number, offset and bytes of each remaining line of a file, whose next line is number `first`.

    Only the beginning of a line of `max_bytes` or more, which `split_line` refuses.
    """
    offset = file.tell()
    line = first
    while raw := file.readline(max_bytes):
        yield line, offset, raw
        offset += len(raw)
        while not raw.endswith(b"\n") and len(raw) == max_bytes:
            raw = file.readline(max_bytes)
            offset += len(raw)
        line += 1


def read_spans(path: Path, spans: Iterable[Span]) -> Iterator[tuple[int, bytes]]:
    """Line number and bytes of each line of `spans`, in their order."""
    with path.open("rb") as file:
        for span in spans:
            file.seek(span.offset)
            for count, raw in enumerate(file.read(span.length).removesuffix(b"\n").split(b"\n")):
                yield span.line + count, raw


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
