"""Rows of train.csv: size and ClassId checked and repaired."""

from __future__ import annotations

from fashionseg.prepare.csv_index import Row
from fashionseg.prepare.faults import shorten
from fashionseg.taxonomy import Taxonomy, parse_class_id

# Masks are resized through tables as long as a side of the photo.
MAX_SIDE = 1_000_000


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
    """Category, attributes, and a reason for each repair of a ClassId.

    Unknown attributes, repeats and attributes of categories that have none (three such rows are known) are removed;
    the others are sorted.

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
    if known and not taxonomy.takes_attributes(category):
        reasons.append(f"ClassId: category {category} has no attributes, got {shorten(class_id)}")
        known = []
    return category, tuple(known), reasons
