"""Any folder in Kaggle's layout as the source of the raw data."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from fashionseg.console import track
from fashionseg.errors import UserError
from fashionseg.project import checkout_root
from fashionseg.storage.disk import full_disk_names, require_space
from fashionseg.taxonomy import LABEL_DESCRIPTIONS, load_taxonomy

TRAIN_CSV, SAMPLE_SUBMISSION = "train.csv", "sample_submission.csv"
FILES = (TRAIN_CSV, LABEL_DESCRIPTIONS, SAMPLE_SUBMISSION)
FOLDERS = ("train", "test")
KEPT_OPEN = ".keep"  # in a folder without photos: DVC tracks no empty folder
_EXPECTED = f"expected Kaggle's layout: {', '.join([*(f'{name}/' for name in FOLDERS), *FILES])}"


def source_folder(folder: str) -> Path:
    """The path that `download.folder` means; a relative one lies in the real checkout, also for a temporary copy."""
    return checkout_root() / Path(folder).expanduser()


def check_layout(folder: Path) -> None:
    """Checks that Kaggle's files and folders are there. Their content is checked by the stage `decode`.

    Raises:
        UserError: names everything that is missing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {_EXPECTED}")
    missing = [f"{name}/" for name in FOLDERS if not (folder / name).is_dir()]
    missing += [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder}: missing {', '.join(missing)}; {_EXPECTED}")
    for name in FOLDERS:
        if not any((folder / name).iterdir()):
            raise UserError(f"{folder / name}: expected photos, the folder is empty")


def check_folder(folder: Path) -> None:
    """Checks the layout, and the labels, so that other categories are refused before photos are copied.

    Raises:
        UserError: see `check_layout` and `load_taxonomy`.
    """
    check_layout(folder)
    load_taxonomy(folder / LABEL_DESCRIPTIONS)


def listing_digest(folder: Path) -> str:
    """32 hexadecimal digits of the names, sizes and modification times of all that `copy_folder` copies."""
    files = [(name, (folder / name).stat()) for name in FILES] + sorted(_photos(folder))
    lines = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in files]
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


def copy_folder(source: Path, target: Path) -> int:
    """Copies Kaggle's files and photos, and nothing else, into the existing empty folder `target`.

    Returns:
        The number of photos.

    Raises:
        UserError: something is missing, the labels are not the competition's, or there is not enough space.
    """
    check_folder(source)
    photos = sorted(_photos(source))
    require_space(target, sum(stat.st_size for _, stat in photos), f"copying {source}")
    with full_disk_names(target):
        for name in FOLDERS:
            (target / name).mkdir()
        for name in FILES:
            shutil.copyfile(source / name, target / name)
        for name, _ in track(photos, f"copying {source.name}"):
            shutil.copyfile(source / name, target / name)
        for name in FOLDERS:
            if not any((target / name).iterdir()):
                (target / name / KEPT_OPEN).touch()
    return len(photos)


def _photos(source: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Names of the files directly in train/ and test/, except hidden ones such as `.DS_Store`."""
    for name in FOLDERS:
        with os.scandir(source / name) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.is_file():
                    yield f"{name}/{entry.name}", entry.stat()
