"""The people on a photo: BlazePose's detector (Bazarevsky et al. 2020), which finds a circle about each body.

A single-shot detector: 2,254 anchors on three grids of a 224 x 224 input, each with a score, a box and four points as
offsets from the anchor's centre in pixels. The first point is the middle of the hips; the second lies on the circle
about the whole body, above the head of an upright person, and so gives size and rotation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashionseg.data.letterbox import letterbox
from fashionseg.pose.tflite import load_tflite

SIDE: Final = 224
GRIDS: Final = ((28, 2), (14, 2), (7, 6))  # cells along a side, anchors in each cell
MIN_SCORE: Final = 0.5
_MAX_LOGIT = 100.0
_MARGIN = 1.25  # of the square about the circle
_SAME_PERSON_IOU = 0.3


class Region(NamedTuple):
    """The square about a body: centre and side in pixels of the photo; the angle in radians, clockwise from upright."""

    y: float
    x: float
    side: float
    angle: float


def make_anchors() -> NDArray[np.float32]:
    """Centres (x, y) of all anchors as fractions of the input, [2254, 2]: grid by grid, row by row."""
    centres = []
    for cells, repeats in GRIDS:
        line = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        x, y = np.meshgrid(line, line)
        centres.append(np.stack([x.ravel(), y.ravel()], axis=1).repeat(repeats, axis=0))
    return np.concatenate(centres)


class PersonDetector:
    """`pose_detection.tflite`, given by its path."""

    def __init__(self, path: Path) -> None:
        self._model = load_tflite(path)
        self._anchors = make_anchors()

    def __call__(self, photo: NDArray[np.uint8]) -> list[Region]:
        """The people on an RGB photo [H, W, 3], the largest first."""
        square, (top, left, bottom, right) = letterbox(photo, SIDE)
        outputs = self._model(square.astype(np.float32) / 127.5 - 1.0)
        scale = np.array([photo.shape[1] / (right - left), photo.shape[0] / (bottom - top)])
        regions = []
        for points in find_people(outputs["Identity"], outputs["Identity_1"][:, 0], self._anchors):
            hips, rim = (points * SIDE - [left, top]) * scale
            regions.append(region_of(hips, rim))
        return sorted(regions, key=lambda region: -region.side)


def find_people(
    offsets: NDArray[np.float32], logits: NDArray[np.float32], anchors: NDArray[np.float32]
) -> list[NDArray[np.float64]]:
    """The hips and the point on the circle of each person, (x, y) as fractions of the input, [2, 2].

    Args:
        offsets: [A, 12]: box centre, box size and four points, each x then y, in pixels of the input.
        logits: of the scores [A].
        anchors: see `make_anchors`.
    """
    scores = 1.0 / (1.0 + np.exp(-np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT).astype(np.float64)))
    candidates = np.flatnonzero(scores >= MIN_SCORE)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    values = offsets[candidates].astype(np.float64).reshape(-1, 6, 2) / SIDE
    centres, sizes = values[:, 0] + anchors[candidates], values[:, 1]
    points = values[:, 2:4] + anchors[candidates][:, None]
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    people = []
    rest = np.arange(len(candidates))
    while len(rest):
        # The same person is found from many anchors: their points are averaged, weighted by score.
        same = _ious(boxes[rest], boxes[rest[0]]) > _SAME_PERSON_IOU
        same[0] = True
        people.append(np.average(points[rest[same]], axis=0, weights=scores[candidates][rest[same]]))
        rest = rest[~same]
    return people


def region_of(hips: NDArray[np.float64], rim: NDArray[np.float64]) -> Region:
    """The square about the circle through `rim` with its centre at `hips`, both (x, y) in pixels."""
    right, down = rim - hips
    side = 2.0 * _MARGIN * float(np.hypot(right, down))
    return Region(float(hips[1]), float(hips[0]), side, float(np.arctan2(right, -down)))


def _ious(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of boxes [n, 4] with one box [4]."""
    edges = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.prod(np.maximum(edges, 0.0), axis=1)
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)
    return shared / np.maximum(areas + np.prod(np.maximum(box[2:] - box[:2], 0.0)) - shared, 1e-12)
