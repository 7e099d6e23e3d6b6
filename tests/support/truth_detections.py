"""Detections made from the truth, with faults."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fashionseg.data.rle import runs_box, runs_to_mask
from fashionseg.data.truths import read_truths
from fashionseg.detections.store import Detections


def detect_truth(decoded: Path, photos: list[str], seed: int) -> Detections:
    """Truths as detections: boxes a little off, one in five of a wrong category, one in five missed; plus noise."""
    truths = read_truths(decoded, photos)
    rng = np.random.default_rng(seed)
    rows = []
    for place, category, runs in zip(truths.photo_index, truths.categories, truths.runs, strict=True):
        if rng.random() < 0.2:
            continue
        y1, x1, y2, x2 = runs_box(runs, 512)
        crop = runs_to_mask(runs, (512, 512))[y1:y2, x1:x2].astype(np.float32)
        probs = np.uint8(255 * cv2.resize(crop, (28, 28), interpolation=cv2.INTER_AREA))
        wrong = rng.random() < 0.2
        score = rng.uniform(0.1, 0.6) if wrong else rng.uniform(0.4, 1.0)
        box = np.array([y1, x1, y2, x2]) / 512 + rng.normal(0, 0.003, 4)
        rows.append((place, (category + wrong) % 46, score, box, probs))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Detections.build(truths.photos, *columns)
