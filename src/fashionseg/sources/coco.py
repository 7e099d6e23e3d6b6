"""COCO instances json to Kaggle's layout: any annotation tool's export, and Fashionpedia, become a source of raw data.

Polygons and both forms of run-length codes are read; ids of any numbering become 0, 1, 2, ... in their order. What
cannot be used is left out and listed in `coco.json` next to train.csv.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fashionseg.console import track
from fashionseg.data.rle import format_rle, mask_to_runs
from fashionseg.data.splits import VALIDATION_IDS, write_ids
from fashionseg.errors import UserError
from fashionseg.parallel import map_photos
from fashionseg.sources.folder import KEPT_OPEN, SAMPLE_SUBMISSION, TRAIN_CSV
from fashionseg.storage.disk import full_disk_names, require_space
from fashionseg.storage.json_file import write_json
from fashionseg.taxonomy import LABEL_DESCRIPTIONS, MAX_CATEGORIES, Taxonomy, format_class_id

REPORT = "coco.json"
PHOTO_SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".bmp",
    ".tif",
    ".tiff",
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
)
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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON: {str(error)[:200]}") from None
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


def write_kaggle_layout(coco: CocoData, photos: Path, target: Path) -> dict[str, int]:
    """Writes Kaggle's layout into the existing empty folder `target`.

    Images of the json become train photos; photos in the folder that it does not list become test photos. Folders in
    file names become part of the name. Photos for validation, if the jsons say so, are named in `validation.txt`.

    Args:
        photos: the folder that the file names begin in.

    Returns:
        Counts of photos, objects and what was left out.

    Raises:
        UserError: no such folder, none of the images is in it, or the disk is too small.
    """
    if not photos.is_dir():
        raise UserError(f"{photos}: no such folder")
    dropped = list(coco.dropped)
    files = _find_files(coco, photos, dropped)
    if not files:
        first = f", for example {coco.images[0].file_name}" if coco.images else ""
        raise UserError(f"{photos}: expected the images of the json{first}, found none")
    listed = {path.resolve() for path in files.values()}
    others = [path for path in _photos_in(photos) if path.resolve() not in listed]
    require_space(
        target, sum(path.stat().st_size for path in (*files.values(), *others)), f"copying {photos}"
    )
    names = _flat_names([*files.values(), *others], photos)
    with full_disk_names(target):
        write_json(target / LABEL_DESCRIPTIONS, coco.taxonomy.to_descriptions())
        images = [image for image in coco.images if image.id in files]
        work = [(image, coco.annotations.get(image.id, [])) for image in images]
        rows_of = partial(_rows_of_image, category_ids=coco.category_ids, attribute_ids=coco.attribute_ids)
        num_objects = 0
        with (target / TRAIN_CSV).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("ImageId", "EncodedPixels", "Height", "Width", "ClassId"))
            for image, (rows, faults) in zip(images, map_photos(rows_of, work, "masks"), strict=True):
                name = names[files[image.id]]
                writer.writerows((name, pixels, image.height, image.width, label) for pixels, label in rows)
                num_objects += len(rows)
                dropped += faults
        with (target / SAMPLE_SUBMISSION).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("ImageId", "EncodedPixels", "ClassId"))
            writer.writerows((names[path], "", "0") for path in others)
        for subset, paths in (("train", list(files.values())), ("test", others)):
            (target / subset).mkdir()
            for path in track(paths, f"copying {subset}"):
                shutil.copyfile(path, target / subset / names[path])
        if not others:
            (target / "test" / KEPT_OPEN).touch()
        if coco.for_validation:
            write_ids(
                target / VALIDATION_IDS, sorted(names[files[i]] for i in coco.for_validation if i in files)
            )
        counts = {"train_photos": len(files), "test_photos": len(others), "objects": num_objects}
        write_json(target / REPORT, {"counts": counts, **_report(coco, dropped)})
    return {**counts, "dropped": len(dropped)}


def coco_digest(photos: Path, annotations: Sequence[Path]) -> str:
    """32 hexadecimal digits of names, sizes and modification times of the photos and of the jsons.

    Raises:
        UserError: one of them is missing.
    """
    for path, kind in ((photos, "folder"), *((path, "file") for path in annotations)):
        if not path.exists():
            raise UserError(f"{path}: no such {kind}")
    named = [(path.relative_to(photos).as_posix(), path.stat()) for path in _photos_in(photos)]
    lines = [
        f"{name} {stat.st_size} {stat.st_mtime_ns}"
        for name, stat in [*named, *(("", path.stat()) for path in annotations)]
    ]
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def summary(counts: dict[str, int]) -> str:
    """A line on what was written."""
    left_out = f"; {counts['dropped']} entries left out, see {REPORT}" if counts["dropped"] else ""
    return (
        f"{counts['objects']} objects on {counts['train_photos']} photos, "
        f"{counts['test_photos']} photos without annotations for the test{left_out}"
    )


def _report(coco: CocoData, dropped: list[Dropped]) -> Entry:
    ids = {"categories": coco.category_ids, "attributes": coco.attribute_ids}
    return {
        **{kind: {str(given): place for given, place in of_kind.items()} for kind, of_kind in ids.items()},
        "dropped": [{"what": fault.what, "reason": fault.reason} for fault in dropped],
    }


def _numbered(entries: Any, path: Path, kind: str) -> tuple[list[Entry], dict[int | str, int]]:
    """Entries in the order of their ids, and the place of each id."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{path}: {kind}: expected a list of mappings")
    for entry in entries:
        if not _is_id(entry.get("id")) or not str(entry.get("name") or "").strip():
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
        if not isinstance(entry, dict) or not _is_id(entry.get("id")):
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
        if not _is_id(value) or value not in known:
            return f"{key}: expected one of the file, got {json.dumps(value)[:80]}"
    if entry.get("iscrowd"):
        return "a crowd region"
    if not entry.get("segmentation"):
        return "no segmentation"
    return None


def _find_files(coco: CocoData, photos: Path, dropped: list[Dropped]) -> dict[int | str, Path]:
    """The file of each image; by its whole name, or else by the last part of it."""
    root = photos.resolve()
    files: dict[int | str, Path] = {}
    taken: set[Path] = set()
    for image in coco.images:
        given = PurePosixPath(image.file_name.replace("\\", "/"))
        for name in (str(given).lstrip("/"), given.name):
            path = photos / name
            # A name such as ../../secret.jpg must not copy a file from elsewhere.
            if name and root in path.resolve().parents and path.is_file() and path not in taken:
                files[image.id] = path
                taken.add(path)
                break
        else:
            dropped.append(
                Dropped(f"image {image.id}", f"no file {ascii(image.file_name)[:120]} in {photos.name}/")
            )
    return files


def _photos_in(folder: Path) -> Iterator[Path]:
    """Photos in the folder and its subfolders, hidden ones excluded, sorted."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in PHOTO_SUFFIXES:
                yield Path(parent, name)


def _flat_names(paths: list[Path], photos: Path) -> dict[Path, str]:
    """A file name for each path below `photos`, all different: `a/b.jpg` -> `a_b.jpg`."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in paths:
        flat = "_".join(path.relative_to(photos).parts)
        stem, suffix, number = Path(flat).stem, Path(flat).suffix, 1
        name = flat
        while name.lower() in taken:
            number += 1
            name = f"{stem}_{number}{suffix}"
        taken.add(name.lower())
        names[path] = name
    return names


def _rows_of_image(
    work: tuple[Image, list[Entry]],
    category_ids: dict[int | str, int],
    attribute_ids: dict[int | str, int],
) -> tuple[list[tuple[str, str]], list[Dropped]]:
    """EncodedPixels and ClassId of each annotation, and what is left out."""
    image, annotations = work
    rows, dropped = [], []
    for entry in annotations:
        try:
            mask = decode_segmentation(entry["segmentation"], image.height, image.width)
        except ValueError as error:
            dropped.append(Dropped(f"annotation {entry.get('id', '?')}", str(error)))
            continue
        if not mask.any():
            dropped.append(Dropped(f"annotation {entry.get('id', '?')}", "no pixel in its segmentation"))
            continue
        given = entry.get("attribute_ids") or []
        known = {attribute_ids[value] for value in given if _is_id(value) and value in attribute_ids}
        label = format_class_id(category_ids[entry["category_id"]], tuple(sorted(known)))
        rows.append((format_rle(mask_to_runs(mask)), label))
    return rows, dropped


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """COCO's polygons [[x, y, x, y, ...], ...] or run-length code -> uint8 [height, width], as pycocotools draws it.

    Raises:
        ValueError: it is none of both, or of another size.
    """
    from hotcoco import mask as coco_mask

    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if isinstance(polygon, list) and len(polygon) >= 6]
        if not polygons:
            raise ValueError("segmentation: expected polygons of three points or more, got none")
        for polygon in polygons:
            if len(polygon) % 2 or not all(_is_number(value) for value in polygon):
                raise ValueError("segmentation: expected pairs of finite numbers in a polygon")
        codes = coco_mask.frPyObjects(polygons, height, width)
        return coco_mask.decode(coco_mask.merge(codes))
    if not isinstance(segmentation, dict):
        raise ValueError(f"segmentation: expected polygons or a run-length code, got {_kind(segmentation)}")
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(
            f"segmentation: expected the size [{height}, {width}] of the image, got {str(size)[:60]}"
        )
    if isinstance(counts, list):
        return _from_counts(counts, height, width)
    if not isinstance(counts, str) or not counts.isascii():
        raise ValueError(f"segmentation: expected counts as a list or text, got {_kind(counts)}")
    return _from_counts(_uncompressed(counts), height, width)


def _from_counts(counts: list[Any], height: int, width: int) -> np.ndarray:
    """Runs of zeros and ones in turns, down the columns."""
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise ValueError("segmentation: expected counts of 0 and above")
    if sum(counts) != height * width:
        raise ValueError(f"segmentation: expected counts of {height * width} pixels, got {sum(counts)}")
    values = np.arange(len(counts), dtype=np.uint8) % 2
    return np.repeat(values, counts).reshape(width, height).T


def _uncompressed(text: str) -> list[int]:
    """The counts of COCO's compressed text: groups of five bits, the least first, differences from the third on."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise ValueError("segmentation: expected COCO's compressed counts, got other text")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("segmentation: expected whole compressed counts, the text ends within one")
    return counts


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
