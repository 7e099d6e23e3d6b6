"""Anchors fitted to the training boxes by IoU, as in YOLO9000 (Redmon & Farhadi 2017, section 2, "Dimension Clusters").

There, k-means with the distance 1 - IoU looks for k free shapes. Here the shapes are the product of one size for each
pyramid level and of ratios that all levels share, so the same objective, the mean over the boxes of the best IoU with a
shape that is centred on the box, is climbed one coordinate at a time. Nothing is drawn at random.

The objective knows shapes alone: that the anchors of the upper levels are spaced more widely is not part of it.

Letters: N boxes; L levels; R ratios; A = L * R anchor shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashionseg.data.splits import read_split
from fashionseg.data.tables import INSTANCES_TABLE, read_instances, read_photos
from fashionseg.errors import UserError

_FRAME = 512  # pixels per side of the competition's frame, in which boxes are stored
_MOST_BOXES = 10_000  # of the search; more move the result by less than its last digit
_FIRST_STEP, _LAST_STEP = 0.3, 0.01  # of the logarithm of a size or ratio
_RECALL_IOUS = (0.5, 0.7)


@dataclass(frozen=True)
class AnchorShapes:
    """Keys of `model.anchors`.

    Attributes:
        sizes: [L], side of the square anchor of each level in pixels, ascending.
        aspect_ratios: [R], width / height, ascending.
    """

    sizes: tuple[float, ...]
    aspect_ratios: tuple[float, ...]

    def heights_widths(self) -> np.ndarray:
        """float64 [A, 2] in pixels."""
        roots = np.sqrt(self.aspect_ratios)
        shapes = [(size / root, size * root) for size in self.sizes for root in roots]
        return np.array(shapes)


@dataclass(frozen=True)
class AnchorFit:
    """How well anchors cover boxes.

    Attributes:
        mean_iou: mean over the boxes of the best IoU with an anchor centred on the box.
        recalls: share of the boxes whose best IoU is at least each of 0.5 and 0.7.
    """

    mean_iou: float
    recalls: tuple[float, ...]


def training_boxes(decoded: Path, splits: Path, image_size: int) -> np.ndarray:
    """Heights and widths in pixels of the network's input, float64 [N, 2], of the boxes that training looks at.

    Raises:
        UserError: a file is missing or damaged, or the training photos have no boxes.
    """
    train, _ = read_split(splits)
    photos = read_photos(decoded, "train").set_index("image_id")[["stored_height", "stored_width"]]
    columns = ("image_id", "in_training", "y1", "x1", "y2", "x2")
    instances = read_instances(decoded, columns)
    instances = instances[instances["in_training"] & instances["image_id"].isin(train)]
    instances = instances.join(photos, on="image_id", how="inner")
    sides = instances[["stored_height", "stored_width"]].to_numpy(np.float64)
    corners = instances[["y1", "x1", "y2", "x2"]].to_numpy(np.float64)
    boxes = (corners[:, 2:] - corners[:, :2]) / _FRAME * sides * image_size / sides.max(axis=1, keepdims=True)
    boxes = boxes[(boxes > 0.0).all(axis=1)]
    if not len(boxes):
        raise UserError(
            f"{decoded / INSTANCES_TABLE}: expected boxes of the {len(train)} training photos of {splits}, found none; "
            "run the stages decode and split"
        )
    return boxes


def best_ious(boxes: np.ndarray, anchors: AnchorShapes) -> np.ndarray:
    """float64 [N]: the best IoU of each box with an anchor centred on it; boxes are heights and widths [N, 2]."""
    shapes = anchors.heights_widths()
    overlaps = np.minimum(boxes[:, None], shapes[None]).prod(axis=2)
    unions = boxes.prod(axis=1)[:, None] + shapes.prod(axis=1)[None] - overlaps
    best: np.ndarray = (overlaps / unions).max(axis=1)
    return best


def measure_anchors(boxes: np.ndarray, anchors: AnchorShapes) -> AnchorFit:
    """Mean best IoU and recalls of boxes [N, 2]."""
    ious = best_ious(boxes, anchors)
    return AnchorFit(float(ious.mean()), tuple(float((ious >= least).mean()) for least in _RECALL_IOUS))


def fit_anchors(boxes: np.ndarray, present: AnchorShapes) -> AnchorShapes:
    """The anchors with the highest mean best IoU that a search finds, as many as the present ones; never worse.

    The search starts at quantiles of the boxes and again at the present anchors, and the better result is returned,
    rounded to three digits.

    Args:
        boxes: heights and widths [N, 2] in pixels, N > 0.
        present: anchors to compare with.
    """
    by_area = boxes[np.argsort(boxes.prod(axis=1), kind="stable")]
    chosen = np.linspace(0, len(by_area) - 1, min(len(by_area), _MOST_BOXES)).round().astype(np.int64)
    sample = by_area[chosen]
    starts = (_quantiles(sample, len(present.sizes), len(present.aspect_ratios)), present)
    found = [_rounded(_climb(sample, start)) for start in starts]
    return max([present, *found], key=lambda anchors: measure_anchors(boxes, anchors).mean_iou)


def _quantiles(boxes: np.ndarray, levels: int, ratios: int) -> AnchorShapes:
    def middles(values: np.ndarray, count: int) -> tuple[float, ...]:
        return tuple(np.quantile(values, (np.arange(count) + 0.5) / count).tolist())

    return AnchorShapes(
        middles(np.sqrt(boxes.prod(axis=1)), levels), middles(boxes[:, 1] / boxes[:, 0], ratios)
    )


def _climb(boxes: np.ndarray, start: AnchorShapes) -> AnchorShapes:
    """Coordinate search: each size and ratio is raised or lowered by a step while that helps, then the step halves."""
    levels = len(start.sizes)
    logs = np.log([*start.sizes, *start.aspect_ratios])
    best = best_ious(boxes, start).mean()
    step = _FIRST_STEP
    while step > _LAST_STEP:
        improved = False
        for place in range(len(logs)):
            for change in (step, -step):
                moved = logs.copy()
                moved[place] += change
                mean = best_ious(boxes, _shapes(moved, levels)).mean()
                if mean > best:
                    logs, best, improved = moved, mean, True
                    break
        if not improved:
            step /= 2
    return _shapes(logs, levels)


def _shapes(logs: np.ndarray, levels: int) -> AnchorShapes:
    values = np.exp(logs)
    return AnchorShapes(tuple(np.sort(values[:levels]).tolist()), tuple(np.sort(values[levels:]).tolist()))


def _rounded(anchors: AnchorShapes) -> AnchorShapes:
    def digits(values: Sequence[float]) -> tuple[float, ...]:
        return tuple(float(f"{value:.3g}") for value in values)

    return AnchorShapes(digits(anchors.sizes), digits(anchors.aspect_ratios))
