"""Seeded synthetic inputs: photos with a natural spectrum, masks with garment-like outlines, detections.

Real photos could not be redistributed. What determines the time is similar: pixels, JPEG bytes, runs of a mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fashionseg.data.jpeg import Pixels, encode_jpeg
from fashionseg.data.records import PhotoRecord, ShardWriter
from fashionseg.data.rle import Runs, format_rle, mask_to_runs, resize_runs, runs_box, runs_to_mask
from fashionseg.data.tables import write_photos
from fashionseg.data.truths import Truths
from fashionseg.detections.bit_masks import FRAME, SIDE
from fashionseg.detections.photos import Photo, pair_photos
from fashionseg.detections.store import Detections

PHOTO_HW = (2356, 1571)  # 3.70 megapixels
NUM_CATEGORIES = 46
MASKS_PER_PHOTO = 7
DETECTIONS_PER_PHOTO = 20
_CELLS = 28


def make_photo(rng: np.random.Generator, hw: tuple[int, int]) -> Pixels:
    """RGB noise at every wavelength from the whole photo to a pixel, amplitude falling with the wavelength."""
    total = np.full((*hw, 3), 128.0, np.float32)
    cells = 3
    while cells < max(hw):
        grid = rng.normal(0, 90 / cells**0.6, (min(cells, hw[0]), min(cells, hw[1]), 3)).astype(np.float32)
        total += cv2.resize(grid, hw[::-1], interpolation=cv2.INTER_LINEAR)
        cells *= 2
    return np.clip(total, 0, 255).astype(np.uint8)


def make_mask(rng: np.random.Generator, hw: tuple[int, int]) -> Runs:
    """A blob with a wavy outline, between the sizes of a shoe and a coat."""
    height, width = hw
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    waves = sum(rng.normal(0, 0.25 / k) * np.cos(k * angles + rng.uniform(0, 6.3)) for k in range(2, 14))
    radius = 0.06 * 5.0 ** rng.uniform() * (1 + waves)
    y = (rng.uniform(0.3, 0.7) + radius * np.sin(angles)) * height
    x = (rng.uniform(0.3, 0.7) + radius * np.cos(angles)) * width
    raster = np.zeros(hw, np.uint8)
    cv2.fillPoly(raster, [np.stack((x, y), axis=1).astype(np.int32)], [1])
    return mask_to_runs(raster)


def make_rles(rng: np.random.Generator, count: int, hw: tuple[int, int]) -> list[str]:
    """Kaggle's text of `count` masks."""
    return [format_rle(make_mask(rng, hw)) for _ in range(count)]


def write_decoded(folder: Path, num_photos: int, side: int, distinct: int = 16) -> list[str]:
    """Writes a folder like the output of `decode`, long side `side`, 7 masks per photo; returns the image ids."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    hw = (side, round(side * PHOTO_HW[1] / PHOTO_HW[0]))
    jpegs = [encode_jpeg(make_photo(rng, hw), 95) for _ in range(min(distinct, num_photos))]
    # Drawn large and resized like `decode` does, so that runs are as ragged.
    masks = [resize_runs(make_mask(rng, PHOTO_HW), PHOTO_HW, hw, centre=True) for _ in range(distinct * 2)]
    writer = ShardWriter(folder, "train", num_photos)
    rows: list[dict[str, Any]] = []
    for number in range(num_photos):
        image_id = f"{number:06d}.jpg"
        chosen = rng.choice(len(masks), MASKS_PER_PHOTO, replace=False)
        record = PhotoRecord(
            image_id,
            jpegs[number % len(jpegs)],
            *hw,
            categories=rng.integers(0, NUM_CATEGORIES, MASKS_PER_PHOTO).astype(np.int16),
            runs=tuple(masks[place] for place in chosen),
        )
        size = {"height": PHOTO_HW[0], "width": PHOTO_HW[1], "stored_height": hw[0], "stored_width": hw[1]}
        index = writer.write(record)
        rows.append({"subset": "train", "image_id": image_id, **size, "record": index, "dhash": 0})
    writer.close()
    write_photos(folder, rows)
    return [row["image_id"] for row in rows]


def make_photos_to_score(num_photos: int, seed: int = 0) -> tuple[list[Photo], Detections]:
    """7 truths and 20 detections per photo at 512 x 512: good and bad matches, duplicates, false positives."""
    rng = np.random.default_rng(seed)
    pool = [_truth(rng) for _ in range(64)]
    ids = tuple(f"{number:06d}.jpg" for number in range(num_photos))
    num_truths, num_found = num_photos * MASKS_PER_PHOTO, num_photos * DETECTIONS_PER_PHOTO
    truth_of = rng.integers(0, len(pool), (num_photos, MASKS_PER_PHOTO))
    categories = rng.integers(0, 13, num_truths).astype(np.int16)  # whole garments, like most objects
    truths = Truths(
        photos=ids,
        photo_index=np.repeat(np.arange(num_photos, dtype=np.int32), MASKS_PER_PHOTO),
        categories=categories,
        class_ids=tuple(str(category) for category in categories.tolist()),
        runs=tuple(pool[place][0] for place in truth_of.ravel()),
    )
    source = rng.integers(0, MASKS_PER_PHOTO, (num_photos, DETECTIONS_PER_PHOTO))
    source[:, :MASKS_PER_PHOTO] = np.arange(MASKS_PER_PHOTO)
    of_pool = np.take_along_axis(truth_of, source, axis=1).ravel()
    boxes = np.stack([pool[place][1] for place in of_pool])
    size = np.tile(boxes[:, 2:] - boxes[:, :2], (1, 2))
    made_up = rng.uniform(size=(num_found, 1)) < 0.25
    boxes = (
        boxes + rng.normal(0, 0.05, boxes.shape) * size + made_up * rng.normal(0, 0.3, (num_found, 1)) * size
    )
    boxes = np.clip(boxes, 0, 1)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 0.02)
    found_as = np.take_along_axis(categories.reshape(num_photos, -1), source, axis=1).ravel()
    other = rng.uniform(size=num_found) < 0.2
    detections = Detections.build(
        ids,
        np.repeat(np.arange(num_photos), DETECTIONS_PER_PHOTO),
        np.where(other, rng.integers(0, NUM_CATEGORIES, num_found), found_as),
        rng.uniform(0.05, 1, num_found),
        boxes,
        np.stack([pool[place][2] for place in of_pool]),
    )
    return pair_photos(detections, truths), detections


def _truth(rng: np.random.Generator) -> tuple[Runs, np.ndarray, np.ndarray]:
    """Runs at 512 x 512, box as fractions [4], and mask probabilities uint8 [28, 28] in the box."""
    runs = make_mask(rng, FRAME)
    y1, x1, y2, x2 = runs_box(runs, SIDE)
    crop = runs_to_mask(runs, FRAME)[y1:y2, x1:x2]
    small = cv2.resize(crop.astype(np.float32), (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    noisy = small * 255 + rng.normal(0, 25, small.shape)
    return runs, np.array([y1, x1, y2, x2]) / SIDE, np.clip(noisy, 0, 255).astype(np.uint8)
