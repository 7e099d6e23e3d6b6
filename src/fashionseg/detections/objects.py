"""Detected objects at the full size of their photos: the output of `fashionseg predict` and `serve`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fashionseg.data.rle import Runs, format_rle, mask_to_runs, runs_area, runs_to_mask
from fashionseg.detections.instances import Thresholds, find_instances
from fashionseg.detections.paste import paste_runs
from fashionseg.detections.store import Detections, PhotoDetections


@dataclass(frozen=True, eq=False)
class PhotoObject:
    """One detected object in the frame of its photo.

    Attributes:
        category: 0-based id.
        box: y1, x1, y2, x2 as detected, in pixels of the photo, half-open, not rounded.
        runs: the mask at the photo's size; no pixel is shared with another object of the category.
    """

    category: int
    score: float
    box: tuple[float, float, float, float]
    runs: Runs


def photo_objects(
    detections: Detections, photos: Sequence[tuple[str, np.ndarray]], thresholds: Thresholds
) -> list[list[PhotoObject]]:
    """The objects of each photo, in the order of `photos`, by falling score.

    Args:
        detections: of these photos.
        photos: (id in `detections`, uint8 [H, W, 3]).
        thresholds: applied as for a submission, in its 512 x 512 frame.
    """
    of_photo = dict(zip(detections.photos, detections.of_photos(), strict=True))
    return [_objects(of_photo[image_id], thresholds, photo.shape[:2]) for image_id, photo in photos]


def describe(objects: Sequence[PhotoObject], category_names: Sequence[str]) -> list[dict[str, Any]]:
    """The objects of one photo for JSON; `rle` is Kaggle's text of the mask at the photo's size."""
    return [
        {
            "category_id": o.category,
            "category": category_names[o.category],
            "score": round(o.score, 4),
            "box": [round(edge, 2) for edge in o.box],
            "area": runs_area(o.runs),
            "rle": format_rle(o.runs),
        }
        for o in objects
    ]


def _objects(detections: PhotoDetections, thresholds: Thresholds, hw: tuple[int, ...]) -> list[PhotoObject]:
    height, width = hw
    objects: list[PhotoObject] = []
    for instance in find_instances(detections, thresholds):
        box = detections.boxes_norm[instance.row]
        runs = paste_runs(detections.mask_probs[instance.row], box, (height, width), thresholds.mask)
        rivals = [other.runs for other in objects if other.category == instance.category]
        if rivals and len(runs):
            mask = runs_to_mask(runs, (height, width))
            for rival in rivals:
                mask &= ~runs_to_mask(rival, (height, width))
            runs = mask_to_runs(mask)
        # A mask of a few pixels at 512 x 512 may have none in a smaller photo.
        if len(runs):
            y1, x1, y2, x2 = (box * np.array([height, width, height, width])).tolist()
            objects.append(PhotoObject(instance.category, instance.score, (y1, x1, y2, x2), runs))
    return objects
