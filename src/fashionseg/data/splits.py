"""The image ids of both sides of the split, as the stage `split` writes them: one id a line, sorted."""

from __future__ import annotations

from pathlib import Path

from fashionseg.errors import UserError

TRAIN_IDS = "train.txt"
VALIDATION_IDS = "validation.txt"
SUMMARY = "summary.json"


def read_split(splits: Path) -> tuple[list[str], list[str]]:
    """Training and validation image ids, as the stage `split` wrote them.

    Raises:
        UserError: a file is missing or holds none.
    """
    return read_ids(splits / TRAIN_IDS), read_ids(splits / VALIDATION_IDS)


def read_ids(path: Path) -> list[str]:
    """The image ids of one side.

    Raises:
        UserError: the file is missing or holds none.
    """
    try:
        ids = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage split") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8 text, got other bytes") from None
    ids = [image_id for image_id in ids if image_id]
    if not ids:
        raise UserError(f"{path}: expected image ids, found none")
    return ids
