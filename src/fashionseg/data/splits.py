"""Files of the stage `split`: image ids of both sides, one id per line, sorted; groups of near-identical photos.

groups.json lists the groups of more than one photo, each a sorted list of image ids; a group lies on one side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashionseg.errors import UserError

TRAIN_IDS = "train.txt"
VALIDATION_IDS = "validation.txt"
GROUPS = "groups.json"
SUMMARY = "summary.json"


def read_split(splits: Path) -> tuple[list[str], list[str]]:
    """Training and validation image ids.

    Raises:
        UserError: a file is missing or has no ids.
    """
    train, validation = (read_ids(splits / name, "split") for name in (TRAIN_IDS, VALIDATION_IDS))
    for name, ids in ((TRAIN_IDS, train), (VALIDATION_IDS, validation)):
        if not ids:
            raise UserError(f"{splits / name}: expected image ids, found none")
    return train, validation


def read_ids(path: Path, stage: str) -> list[str]:
    """The image ids in a file of the stage `stage`, one per line.

    Raises:
        UserError: the file is missing or not text.
    """
    try:
        ids = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage {stage}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8 text, got other bytes; run the stage {stage}") from None
    return [image_id for image_id in ids if image_id]


def write_ids(path: Path, ids: Sequence[str]) -> None:
    """The inverse of `read_ids`."""
    path.write_text("".join(f"{image_id}\n" for image_id in ids), encoding="utf-8")


def write_groups(path: Path, image_ids: Sequence[str], groups: NDArray[np.int64]) -> None:
    """Writes the groups of more than one photo; `groups` [n] is the group number of each photo."""
    members: dict[int, list[str]] = {}
    for image_id, group in zip(image_ids, groups.tolist(), strict=True):
        members.setdefault(group, []).append(image_id)
    shared = [sorted(ids) for ids in members.values() if len(ids) > 1]
    path.write_text(json.dumps(sorted(shared), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_groups(splits: Path, image_ids: Sequence[str]) -> NDArray[np.int64]:
    """[n] group numbers of `image_ids`; near-identical photos share a number, every other photo has its own.

    A split written before groups were recorded has no groups.json: each photo is then a group.

    Raises:
        UserError: the file does not hold lists of image ids.
    """
    path = splits / GROUPS
    first_of: dict[str, str] = {}
    try:
        for ids in json.loads(path.read_text(encoding="utf-8")):
            first_of |= {str(image_id): str(ids[0]) for image_id in ids}
    except FileNotFoundError:
        pass
    except (ValueError, TypeError, IndexError, KeyError, RecursionError) as error:
        raise UserError(f"{path}: expected lists of image ids: {error}; run the stage split") from None
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(first_of.get(image_id, image_id), len(numbers)) for image_id in image_ids],
        np.int64,
    )
