"""COCO instances json to Kaggle's layout: any annotation tool's export, and Fashionpedia, become a source of raw data.

What cannot be used is left out and listed in `coco.json` next to train.csv.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from fashionseg.console import track
from fashionseg.data.coco_masks import decode_segmentation
from fashionseg.data.rle import format_rle, mask_to_runs
from fashionseg.data.splits import VALIDATION_IDS, write_ids
from fashionseg.errors import UserError
from fashionseg.parallel import map_photos
from fashionseg.sources.coco_json import CocoData, Dropped, Entry, Image, is_id
from fashionseg.sources.folder import KEPT_OPEN, SAMPLE_SUBMISSION, TRAIN_CSV
from fashionseg.storage.disk import full_disk_names, require_space
from fashionseg.storage.json_file import write_json
from fashionseg.taxonomy import LABEL_DESCRIPTIONS, format_class_id

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
        known = {attribute_ids[value] for value in given if is_id(value) and value in attribute_ids}
        label = format_class_id(category_ids[entry["category_id"]], tuple(sorted(known)))
        rows.append((format_rle(mask_to_runs(mask)), label))
    return rows, dropped
