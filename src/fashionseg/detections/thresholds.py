"""thresholds.json: the result of calibration, used by the stage `submit` and by `fashionseg predict` and `serve`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fashionseg.detections.instances import Thresholds
from fashionseg.errors import UserError
from fashionseg.storage.json_file import read_json, write_json


def write_thresholds(thresholds: Thresholds, path: Path) -> None:
    write_json(path, asdict(thresholds))


def read_thresholds(path: Path) -> Thresholds:
    """The inverse of `write_thresholds`. Older files lack keys: without `categories` all are submitted, without
    `garment_nms` garments are not compared.

    Raises:
        UserError: the file is missing, or a key is missing or out of range.
    """
    values = read_json(path, "run the stage evaluate")
    try:
        thresholds = thresholds_from(values)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"{path}: expected score, nms, mask, min_area, categories (ids or null), garment_nms and garments (ids): "
            f"{error!r}"
        ) from None
    fractions = (thresholds.score, thresholds.nms, thresholds.mask, thresholds.garment_nms)
    if not all(0.0 <= value <= 1.0 for value in fractions) or thresholds.min_area < 0:
        raise UserError(f"{path}: expected fractions 0 to 1 and an area of at least 0, got {values}")
    return thresholds


def thresholds_from(values: Mapping[str, Any]) -> Thresholds:
    """The inverse of `asdict`, on what JSON made of it.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: a key is missing or no number.
    """
    categories = values.get("categories")
    garment_nms = float(values.get("garment_nms", 1.0))
    garments = values["garments"] if garment_nms < 1.0 else values.get("garments", ())
    return Thresholds(
        float(values["score"]),
        float(values["nms"]),
        float(values["mask"]),
        int(values["min_area"]),
        None if categories is None else _ids(categories),
        garment_nms,
        _ids(garments),
    )


def _ids(values: Iterable[Any]) -> tuple[int, ...]:
    """Category ids, ascending, each once."""
    return tuple(sorted({int(value) for value in values}))
