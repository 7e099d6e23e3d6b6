"""Any folder in Kaggle's layout as the source of the raw data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from fashionseg.console import track
from fashionseg.errors import UserError
from fashionseg.storage.disk import full_disk_names, require_space
from fashionseg.taxonomy import LABEL_DESCRIPTIONS

TRAIN_CSV, SAMPLE_SUBMISSION = "train.csv", "sample_submission.csv"
FILES = (TRAIN_CSV, LABEL_DESCRIPTIONS, SAMPLE_SUBMISSION)
FOLDERS = ("train", "test")


def check_layout(folder: Path) -> None:
    """Makes sure that Kaggle's files and folders are there. What is in them is the decoder's to judge.

    Raises:
        UserError: naming all that is missing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected Kaggle's layout: {_layout()}")
    missing = [f"{name}/" for name in FOLDERS if not (folder / name).is_dir()]
    missing += [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder}: missing {', '.join(missing)}; expected Kaggle's layout: {_layout()}")
    for name in FOLDERS:
        if not any((folder / name).iterdir()):
            raise UserError(f"{folder / name}: expected photos, the folder is empty")


def copy_folder(source: Path, target: Path) -> int:
    """Copies Kaggle's files and photos, and nothing else, into the existing empty folder `target`.

    Returns:
        The number of photos.

    Raises:
        UserError: something is missing, or there is not enough space.
    """
    check_layout(source)
    photos = sorted(_photos(source))
    require_space(target, sum(path.stat().st_size for path in photos), f"copying {source}")
    with full_disk_names(target):
        for name in FOLDERS:
            (target / name).mkdir()
        for name in FILES:
            shutil.copyfile(source / name, target / name)
        for path in track(photos, f"copying {source.name}"):
            shutil.copyfile(path, target / path.relative_to(source))
    return len(photos)


def _photos(source: Path) -> Iterator[Path]:
    """Files directly in train/ and test/, but not hidden ones (`.DS_Store` and its like)."""
    for name in FOLDERS:
        for path in (source / name).iterdir():
            if path.is_file() and not path.name.startswith("."):
                yield path


def _layout() -> str:
    return ", ".join([*(f"{name}/" for name in FOLDERS), *FILES])
