"""The exported file: a LiteRT model with what its user needs to know appended as a zip archive.

That is how TensorFlow Lite packs associated files: the model's runtime reads from the front, a zip reader from the end.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fashionseg.detections.instances import Thresholds
from fashionseg.detections.thresholds import thresholds_from
from fashionseg.errors import UserError
from fashionseg.storage.atomic import atomic_write

SUFFIX = ".tflite"
ABOUT = "fashionseg.json"
_FORMAT = 1
_TIME = (1980, 1, 1, 0, 0, 0)  # the same model is the same bytes


@dataclass(frozen=True)
class About:
    """What the file says of itself.

    Attributes:
        categories: names by id.
        image_size: S, side of the square input in pixels.
        takes_pose: whether landmarks and person masks are inputs too.
        mask_quality, flip: as in `inference` of params.yaml.
        thresholds: calibrated for the model.
        precision: of the weights: float32, float16 or int8.
    """

    categories: tuple[str, ...]
    image_size: int
    takes_pose: bool
    mask_quality: float
    flip: bool
    thresholds: Thresholds
    precision: str


def write_exported(path: Path, model: bytes, about: About) -> None:
    """Writes model and description into one file."""
    values = {"format": _FORMAT, **asdict(about)}
    with atomic_write(path) as temporary:
        temporary.write_bytes(model)
        with zipfile.ZipFile(temporary, "a", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(ABOUT, _TIME), json.dumps(values, indent=1))


def read_about(path: Path) -> About:
    """The description in an exported file.

    Raises:
        UserError: the file is missing, damaged, no export of this project, or of a newer release.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            values = json.loads(archive.read(ABOUT))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    # NotImplementedError: zipfile's, of a compression it does not know
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, NotImplementedError) as error:
        raise UserError(f"{path}: not a file of `fashionseg export`, or damaged: {error}") from None
    try:
        return _parse(values, path)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"{path}: {ABOUT} in it is damaged: {error!r}") from None


def _parse(values: dict[str, Any], path: Path) -> About:
    if values["format"] != _FORMAT:
        raise UserError(f"{path}: expected format {_FORMAT}, got {values['format']!r}; update fashionseg")
    return About(
        tuple(str(name) for name in values["categories"]),
        int(values["image_size"]),
        bool(values["takes_pose"]),
        float(values["mask_quality"]),
        bool(values["flip"]),
        thresholds_from(values["thresholds"]),
        str(values["precision"]),
    )
