"""Photos with known masks: rectangles by hand, and random ones for comparisons with slow and simple code."""

from collections.abc import Callable

import numpy as np
import pytest

from fashionseg.data.rle import mask_to_runs
from fashionseg.detections.bit_masks import BitMask, from_columns
from fashionseg.detections.photos import Photo, PhotoDetections, PhotoTruths


def draw_rectangle(y1: int, x1: int, y2: int, x2: int) -> np.ndarray:
    mask = np.zeros((512, 512), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def draw_photo(rng: np.random.Generator, num_truths: int, num_detections: int, num_categories: int) -> Photo:
    """Ellipses as truths; detections near them, some of another category, many overlapping in one category."""
    ys, xs = np.mgrid[0:512, 0:512] + 0.5
    truths, categories, boxes = [], [], []
    for _ in range(num_truths):
        height, width = np.exp(rng.uniform(np.log(15), np.log(300), 2))
        top, left = rng.uniform(0, 512 - height), rng.uniform(0, 512 - width)
        inside = ((ys - top) / height * 2 - 1) ** 2 + ((xs - left) / width * 2 - 1) ** 2 < 1
        truths.append(mask_to_runs(inside))
        categories.append(rng.integers(num_categories))
        boxes.append([top, left, top + height, left + width])
    found = []
    for _ in range(num_detections):
        place = rng.integers(num_truths) if num_truths else 0
        box = np.array(boxes[place] if num_truths else [100, 100, 300, 250]) / 512
        category = categories[place] if num_truths and rng.random() < 0.8 else rng.integers(num_categories)
        box = np.clip(box + rng.normal(0, 0.03, 4), 0, 1)
        box = np.array([*np.minimum(box[:2], box[2:]), *np.maximum(box[:2], box[2:])])
        found.append((category, rng.choice([0.2, 0.4, 0.55, 0.7, 0.95]), box))
    found.sort(key=lambda detection: -detection[1])
    cells = (np.arange(28) + 0.5) / 28 * 2 - 1
    disc = np.clip(1.3 - (cells[:, None] ** 2 + cells[None, :] ** 2), 0, 1)
    probs = [np.uint8(255 * np.clip(disc * rng.uniform(0.8, 1.2), 0, 1)) for _ in found]
    detections = PhotoDetections(
        np.array([category for category, _, _ in found], np.int16),
        np.array([score for _, score, _ in found], np.float32),
        np.array([box for _, _, box in found], np.float32).reshape(-1, 4),
        np.array(probs, np.uint8).reshape(-1, 28, 28),
    )
    class_ids = tuple(str(category) if category % 2 else f"{category}_3" for category in categories)
    return detections, PhotoTruths(np.array(categories, np.int16), class_ids, tuple(truths))


@pytest.fixture
def rectangle() -> Callable[..., np.ndarray]:
    """`rectangle(y1, x1, y2, x2)`: bool [512, 512]."""
    return draw_rectangle


@pytest.fixture
def bits() -> Callable[..., BitMask]:
    """`bits(y1, x1, y2, x2)`: the same, packed."""
    return lambda *box: from_columns(draw_rectangle(*box).T, 0)


@pytest.fixture
def photos() -> list[Photo]:
    """Photos of every kind: crowded, without truths, without detections, without either."""
    rng = np.random.default_rng(5)
    sizes = [(4, 10), (0, 3), (3, 0), (0, 0), (5, 12), (1, 6), (6, 8), (2, 9)]
    return [draw_photo(rng, num_truths, num_detections, 3) for num_truths, num_detections in sizes]
