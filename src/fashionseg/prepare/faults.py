"""Faults: what is wrong with a row, a photo or a file, where it stands, and what was done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["dropped", "repaired", "scoring only", "ignored", "refused"]


@dataclass(frozen=True)
class Fault:
    """One fault; `row` is the line of the csv, from 1, the header included; None for the file as a whole."""

    file: str
    reason: str
    outcome: Outcome
    image_id: str | None = None
    row: int | None = None

    def __str__(self) -> str:
        return self.reason if self.row is None else f"row {self.row}: {self.reason}"


def shorten(text: str, limit: int = 40) -> str:
    """`text` quoted and, for messages of one line, cut."""
    return repr(text if len(text) <= limit else text[:limit] + "...")
