"""Photo, ground truth and prediction side by side, one PNG per photo."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fashionseg.storage.atomic import atomic_directory
from fashionseg.visualize import DrawnInstance, jpeg_bytes, side_by_side, write_png


@dataclass(frozen=True, eq=False)
class Comparison:
    """One photo (uint8 RGB [H, W, 3]) with its ground-truth and predicted instances.

    `note` follows the photo's name in the title, such as `score 0.41`.
    """

    image_id: str
    photo: np.ndarray
    truths: list[DrawnInstance]
    predictions: list[DrawnInstance]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A written picture: file, title, and a JPEG for the report."""

    path: Path
    title: str
    jpeg: bytes = field(repr=False)


def write_pictures(directory: Path, comparisons: Iterable[Comparison]) -> list[Picture]:
    """Replaces `directory` by `01_<image id>.png`, `02_...`, in the order given; no comparisons leave it empty.

    The photos are consumed one at a time, so `comparisons` may be a generator that reads them.
    """
    pictures = []
    with atomic_directory(directory) as temporary:
        for number, comparison in enumerate(comparisons, 1):
            title = " · ".join(part for part in (comparison.image_id, comparison.note) if part)
            drawn = side_by_side(comparison.photo, comparison.truths, comparison.predictions, title)
            name = f"{number:02d}_{_file_name(comparison.image_id)}.png"
            write_png(temporary / name, drawn)
            pictures.append(Picture(directory / name, title, jpeg_bytes(drawn)))
    return pictures


def _file_name(image_id: str) -> str:
    """The id without its extension and without characters that a file system may refuse."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", Path(image_id).stem)
