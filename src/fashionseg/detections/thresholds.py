"""thresholds.json: what calibration leaves for the stage `submit` and the command `predict`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from fashionseg.detections.instances import Thresholds
from fashionseg.errors import UserError
from fashionseg.storage.atomic import atomic_write


def write_thresholds(thresholds: Thresholds, path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(asdict(thresholds), indent=2) + "\n", encoding="utf-8")


def read_thresholds(path: Path) -> Thresholds:
    """What `write_thresholds` wrote.

    Raises:
        UserError: the file is missing, or a key is missing or out of range.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        thresholds = Thresholds(
            float(values["score"]), float(values["nms"]), float(values["mask"]), int(values["min_area"])
        )
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage evaluate") from None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: expected score, nms, mask and min_area: {error!r}") from None
    fractions = (thresholds.score, thresholds.nms, thresholds.mask)
    if not all(0.0 <= value <= 1.0 for value in fractions) or thresholds.min_area < 0:
        raise UserError(f"{path}: expected fractions 0 to 1 and an area of at least 0, got {values}")
    return thresholds
