"""COCO instances json, read and checked: images, categories, attributes, annotations; what cannot be used is set aside.

Ids of any numbering become 0, 1, 2, ... in their order.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fashionseg.errors import UserError
from fashionseg.taxonomy import MAX_CATEGORIES, Taxonomy

_MAX_PIXELS = 500_000_000  # of an image: its masks are drawn at full size

Entry = dict[str, Any]


@dataclass(frozen=True)
class Image:
    """An image of the json: its id, name as written there, and size."""

    id: int | str
    file_name: str
    height: int
    width: int


@dataclass(frozen=True)
class Dropped:
    """What is left out: `annotation 12`, `image 3`, and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class CocoData:
    """A json that can be used.

    Attributes:
        taxonomy: categories and attributes, in the order of their ids.
        category_ids, attribute_ids: place in the taxonomy by id.
        images: those of usable entries, in the order of the file.
        annotations: of each image by its id, in the order of the file.
        dropped: entries that were left out.
        for_validation: ids of images; empty where the json does not say.
    """

    taxonomy: Taxonomy
    category_ids: dict[int | str, int]
    attribute_ids: dict[int | str, int]
    images: tuple[Image, ...]
    annotations: dict[int | str, list[Entry]]
    dropped: tuple[Dropped, ...]
    for_validation: frozenset[int | str] = frozenset()


def read_coco(path: Path) -> CocoData:
    """Reads a COCO instances json.

    Raises:
        UserError: the file is missing or is none, or has no category.
    """
    return parse_coco(load_json(path), path)


def load_json(path: Path) -> Any:
    """
    Raises:
        UserError: the file is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON: {str(error)[:200]}") from None


def parse_coco(content: Any, path: Path) -> CocoData:
    """The content of a COCO instances json; `path` is named in messages.

    Raises:
        UserError: it is none, or has no category.
    """
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: expected a mapping with images, annotations and categories, got {_kind(content)}"
        )
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            raise UserError(
                f"{path}: {key}: expected a list as in COCO's instances, got {_kind(content.get(key))}"
            )
    categories, category_ids = _numbered(content["categories"], path, "categories")
    if not 0 < len(categories) <= MAX_CATEGORIES:
        raise UserError(f"{path}: categories: expected 1 to {MAX_CATEGORIES}, got {len(categories)}")
    attributes, attribute_ids = _numbered(content.get("attributes") or [], path, "attributes")
    taxonomy = Taxonomy(
        _names(categories),
        tuple(str(entry.get("supercategory") or "") for entry in categories),
        _names(attributes),
    )
    dropped: list[Dropped] = []
    images = _read_images(content["images"], dropped)
    annotations: dict[int | str, list[Entry]] = defaultdict(list)
    for entry in content["annotations"]:
        if reason := _fault_of_annotation(entry, images, category_ids):
            name = f"annotation {entry.get('id', '?')}" if isinstance(entry, dict) else "annotation"
            dropped.append(Dropped(name, reason))
        else:
            annotations[entry["image_id"]].append(entry)
    return CocoData(
        taxonomy, category_ids, attribute_ids, tuple(images.values()), dict(annotations), tuple(dropped)
    )


def read_split_coco(paths: Sequence[Path]) -> CocoData:
    """One json, or one of the training and one of the validation photos: the second's images are `for_validation`.

    Raises:
        UserError: as `read_coco`, or the two differ in categories or attributes.
    """
    training, *others = (read_coco(path) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        for kind in ("category_ids", "attribute_ids", "taxonomy"):
            if getattr(other, kind) != getattr(training, kind):
                raise UserError(f"{path}: expected the categories and attributes of {paths[0]}, got others")
        # Both files number their images from their own beginning.
        renumbered = tuple(replace(image, id=f"validation {image.id}") for image in other.images)
        training = replace(
            training,
            images=training.images + renumbered,
            annotations=training.annotations
            | {f"validation {image}": entries for image, entries in other.annotations.items()},
            dropped=training.dropped
            + tuple(replace(fault, what=f"validation {fault.what}") for fault in other.dropped),
            for_validation=frozenset(image.id for image in renumbered),
        )
    return training


def _numbered(entries: Any, path: Path, kind: str) -> tuple[list[Entry], dict[int | str, int]]:
    """Entries in the order of their ids, and the place of each id."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path}: {kind}: expected a list of mappings")
    for entry in entries:
        if not is_id(entry.get("id")) or not str(entry.get("name") or "").strip():
            raise UserError(
                f"{path}: {kind}: expected entries with id and name, got {json.dumps(entry)[:120]}"
            )
    ordered = sorted(entries, key=lambda entry: (isinstance(entry["id"], str), entry["id"]))
    places = {entry["id"]: place for place, entry in enumerate(ordered)}
    if len(places) < len(ordered):
        repeated = next(given for given, count in Counter(e["id"] for e in ordered).items() if count > 1)
        raise UserError(f"{path}: {kind}: expected different ids, got {repeated} twice")
    return ordered, places


def _names(entries: list[Entry]) -> tuple[str, ...]:
    """Names; one that occurs twice (tools write their root category so) has its id added."""
    names = [" ".join(str(entry["name"]).split()) for entry in entries]
    return tuple(
        f"{name} ({entry['id']})" if names.count(name) > 1 else name
        for name, entry in zip(names, entries, strict=True)
    )


def _read_images(entries: list[Any], dropped: list[Dropped]) -> dict[int | str, Image]:
    images: dict[int | str, Image] = {}
    for entry in entries:
        name = f"image {entry.get('id', '?')}" if isinstance(entry, dict) else "image"
        if not isinstance(entry, dict) or not is_id(entry.get("id")):
            dropped.append(Dropped(name, "expected a mapping with an id"))
        elif entry["id"] in images:
            dropped.append(Dropped(name, "expected different ids, got this one twice"))
        elif not isinstance(entry.get("file_name"), str) or not entry["file_name"]:
            dropped.append(Dropped(name, "expected a file_name, got none"))
        elif not all(_is_side(entry.get(side)) for side in ("height", "width")):
            found = f"{entry.get('height')} and {entry.get('width')}"
            dropped.append(Dropped(name, f"expected height and width in pixels, got {found[:80]}"))
        elif entry["height"] * entry["width"] > _MAX_PIXELS:
            found = f"{entry['height']} x {entry['width']}"
            dropped.append(Dropped(name, f"expected at most {_MAX_PIXELS} pixels, got {found[:80]}"))
        else:
            images[entry["id"]] = Image(entry["id"], entry["file_name"], entry["height"], entry["width"])
    return images


def _fault_of_annotation(
    entry: Any, images: dict[int | str, Image], category_ids: dict[int | str, int]
) -> str | None:
    if not isinstance(entry, dict):
        return f"expected a mapping, got {_kind(entry)}"
    for key, known in (("image_id", images), ("category_id", category_ids)):
        value = entry.get(key)
        if not is_id(value) or value not in known:
            return f"{key}: expected one of the file, got {json.dumps(value)[:80]}"
    if entry.get("iscrowd"):
        return "a crowd region"
    if not entry.get("segmentation"):
        return "no segmentation"
    return None


def is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
