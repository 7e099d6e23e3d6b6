"""Categories and attributes of a data set, and ClassId, the competition's text form of both.

A ClassId is `category` or `category_attr_attr_...` with ascending attribute ids: `23`, `10_3_20_34`.
The taxonomy comes with the data, as `label_descriptions.json`; the stage `decode` writes it for those that follow. The
competition's own, 46 categories and 92 attributes, is shipped with the package for its files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from fashionseg.errors import UserError

LABEL_DESCRIPTIONS = "label_descriptions.json"
TAXONOMY_FILE = "taxonomy.json"  # in the folder of decoded photos
MAX_CATEGORIES = 10_000  # ids are int16
UNKNOWN_CATEGORY = "ClassId: expected a category below"  # begins the message about one
# Supercategories of the competition and of Fashionpedia: whole garments, and what lies on them.
_GARMENT_GROUPS = frozenset({"upperbody", "lowerbody", "wholebody"})
_PART_GROUPS = frozenset({"garment parts", "closures", "decorations"})


@dataclass(frozen=True)
class Taxonomy:
    """Names by id; ids are 0..n-1 without gaps.

    `category_groups` are the supercategories (`upperbody`, `garment parts`, ...), empty where there are none.
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

    def is_part(self, category: int) -> bool:
        """Whether objects of the category lie on garments."""
        return category < self.num_categories and self.category_groups[category] in _PART_GROUPS

    def takes_attributes(self, category: int) -> bool:
        """Whether objects of the category may have attributes: in the competition only whole garments."""
        return self != competition_taxonomy() or self.category_groups[category] in _GARMENT_GROUPS

    def category_name(self, category: int) -> str:
        """`shirt, blouse`; for a category outside the list its number."""
        return self.category_names[category] if category < self.num_categories else f"category {category}"

    def short_name(self, category: int) -> str:
        """The first word of the name: `headband, head covering, hair accessory` -> `headband`."""
        return self.category_name(category).split(",")[0]

    def attribute_text(self, attributes: tuple[int, ...]) -> str:
        """`above-the-hip (length) · symmetrical`."""
        return " · ".join(
            self.attribute_names[a] if a < self.num_attributes else f"attribute {a}" for a in attributes
        )

    def to_descriptions(self) -> dict:
        """The content of a `label_descriptions.json`."""
        categories = zip(self.category_names, self.category_groups, strict=True)
        return {
            "categories": [
                {"id": place, "name": name, "supercategory": group}
                for place, (name, group) in enumerate(categories)
            ],
            "attributes": [{"id": place, "name": name} for place, name in enumerate(self.attribute_names)],
        }


@cache
def competition_taxonomy() -> Taxonomy:
    """The taxonomy shipped with the package."""
    text = resources.files("fashionseg").joinpath(LABEL_DESCRIPTIONS).read_text(encoding="utf-8")
    return _parse(json.loads(text))


def taxonomy_of_names(category_names: tuple[str, ...]) -> Taxonomy:
    """What is known of categories by their names alone, those of a model: groups of the competition's names."""
    ours = competition_taxonomy()
    if category_names == ours.category_names:
        return ours
    return Taxonomy(category_names, ("",) * len(category_names), ())


def read_taxonomy(decoded: Path) -> Taxonomy:
    """The taxonomy of decoded photos.

    Raises:
        UserError: the stage `decode` did not write it, or it is damaged.
    """
    path = decoded / TAXONOMY_FILE
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `dvc repro decode`")
    return load_taxonomy(path)


def load_taxonomy(path: Path) -> Taxonomy:
    """A `label_descriptions.json`: `categories` with `id`, `name` and, optionally, `supercategory`; `attributes`
    with `id` and `name`, or none.

    Raises:
        UserError: the file is missing or malformed, ids have gaps, or a name is empty or repeated.
    """
    try:
        return _parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a label description: {type(error).__name__}: {error}") from None


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


def _parse(descriptions: dict) -> Taxonomy:
    categories = _in_order(descriptions["categories"], "categories")
    if not 0 < len(categories) <= MAX_CATEGORIES:
        raise ValueError(f"categories: expected 1 to {MAX_CATEGORIES}, got {len(categories)}")
    attributes = _in_order(descriptions.get("attributes", []), "attributes")
    return Taxonomy(
        category_names=_names(categories, "categories"),
        category_groups=tuple(str(entry.get("supercategory") or "") for entry in categories),
        attribute_names=_names(attributes, "attributes"),
    )


def _in_order(entries: list[dict], kind: str) -> list[dict]:
    entries = sorted(entries, key=lambda entry: entry["id"])
    if [entry["id"] for entry in entries] != list(range(len(entries))):
        raise ValueError(f"{kind}: expected ids 0 to {len(entries) - 1} without gaps")
    return entries


def _names(entries: list[dict], kind: str) -> tuple[str, ...]:
    names = tuple(" ".join(str(entry["name"]).split()) for entry in entries)
    if "" in names:
        raise ValueError(f"{kind}: expected a name for id {names.index('')}, got none")
    if kind == "categories" and (repeated := [name for name in names if names.count(name) > 1]):
        raise ValueError(f"{kind}: expected different names, got {repeated[0]!r} twice")
    return names
