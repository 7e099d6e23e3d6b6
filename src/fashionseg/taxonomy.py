"""46 categories and 92 attributes, and ClassId, the competition's text form of both.

A ClassId is `category` or `category_attr_attr_...` with ascending attribute ids: `23`, `10_3_20_34`.
Names and ids come from the competition's own `label_descriptions.json`, shipped with the package.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from fashionseg.errors import UserError

LABEL_DESCRIPTIONS = "label_descriptions.json"
UNKNOWN_CATEGORY = "ClassId: expected a category below"  # begins the message about one
_GARMENT_GROUPS = ("upperbody", "lowerbody", "wholebody")  # supercategories of whole garments


@dataclass(frozen=True)
class Taxonomy:
    """Names by id; ids are 0..n-1 without gaps.

    `category_groups` are the supercategories (`upperbody`, `garment parts`, ...).
    """

    category_names: tuple[str, ...]
    category_groups: tuple[str, ...]
    attribute_names: tuple[str, ...]

    @property
    def num_categories(self) -> int:
        return len(self.category_names)

    @property
    def garments(self) -> tuple[int, ...]:
        """Ids of the categories that are whole garments, not their parts or accessories, ascending."""
        return tuple(place for place, group in enumerate(self.category_groups) if group in _GARMENT_GROUPS)

    @property
    def num_attributes(self) -> int:
        return len(self.attribute_names)


@cache
def competition_taxonomy() -> Taxonomy:
    """The taxonomy shipped with the package."""
    text = resources.files("fashionseg").joinpath(LABEL_DESCRIPTIONS).read_text(encoding="utf-8")
    return _parse(json.loads(text))


def load_taxonomy(path: Path) -> Taxonomy:
    """A `label_descriptions.json`, which must hold the same ids as the competition's.

    Raises:
        UserError: the file is missing, malformed, or its ids or names differ from the competition's.
    """
    try:
        taxonomy = _parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a label description: {type(error).__name__}: {error}") from None
    ours = competition_taxonomy()
    for kind in ("category_names", "category_groups", "attribute_names"):
        expected, found = getattr(ours, kind), getattr(taxonomy, kind)
        if found != expected:
            raise UserError(
                f"{path}: {kind.replace('_', ' ')} differ from the 2019 competition's list, the only one that works: "
                f"{_first_difference(expected, found)}"
            )
    return taxonomy


def parse_class_id(class_id: str, taxonomy: Taxonomy) -> tuple[int, tuple[int, ...]]:
    """`"10_3_20"` -> `(10, (3, 20))`.

    Raises:
        ValueError: malformed, unknown id, or attributes repeated or not ascending.
    """
    parts = class_id.split("_")
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"ClassId: expected numbers joined by '_', got {class_id!r}")
    category, *attributes = (int(part) for part in parts)
    if category >= taxonomy.num_categories:
        raise ValueError(f"{UNKNOWN_CATEGORY} {taxonomy.num_categories}, got {class_id!r}")
    if any(attribute >= taxonomy.num_attributes for attribute in attributes):
        raise ValueError(f"ClassId: expected attributes below {taxonomy.num_attributes}, got {class_id!r}")
    if attributes != sorted(set(attributes)):
        raise ValueError(f"ClassId: expected ascending attributes without repeats, got {class_id!r}")
    return category, tuple(attributes)


def format_class_id(category: int, attributes: tuple[int, ...] = ()) -> str:
    """`(10, (20, 3))` -> `"10_3_20"`."""
    return "_".join(str(number) for number in (category, *sorted(attributes)))


def _first_difference(expected: tuple[str, ...], found: tuple[str, ...]) -> str:
    pairs = itertools.zip_longest(expected, found, fillvalue="nothing")
    place, (ours, theirs) = next((n, pair) for n, pair in enumerate(pairs) if pair[0] != pair[1])
    theirs = theirs if len(theirs) <= 40 else theirs[:40] + "..."
    return (
        f"expected {len(expected)}, id {place} being {ours!r}, got {len(found)}, id {place} being {theirs!r}"
    )


def _parse(descriptions: dict) -> Taxonomy:
    def names(kind: str, field: str) -> tuple[str, ...]:
        entries = sorted(descriptions[kind], key=lambda entry: entry["id"])
        ids = [entry["id"] for entry in entries]
        if ids != list(range(len(ids))):
            raise ValueError(f"{kind}: expected ids 0 to {len(ids) - 1} without gaps")
        return tuple(str(entry[field]) for entry in entries)

    return Taxonomy(
        category_names=names("categories", "name"),
        category_groups=names("categories", "supercategory"),
        attribute_names=names("attributes", "name"),
    )
