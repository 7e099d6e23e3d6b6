"""Weighted box fusion: the detections of several networks, or of several views of a photo, as one set.

Solovyev et al. 2021, Weighted Boxes Fusion. Detections of one category whose boxes overlap are averaged, box and mask,
weighted by score; NMS would keep one of them and forget the others. Two differences from the paper: a set votes once in
a cluster, with its highest score, and what a set did not find counts as a score of 0.

Letters: N detections over all sets, C clusters, M side of the masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fashionseg.detections.store import Detections

FUSION_IOU = 0.55  # of a box and the fused box that it joins; the paper's


def fuse(
    sets: Sequence[Detections],
    weights: Sequence[float] | NDArray[np.float64] = (),
    iou: float = FUSION_IOU,
) -> Detections:
    """One set from several on the same photos.

    Args:
        sets: S sets of detections; their photos agree, and so do the sides of their masks.
        weights: of the sets [S], or for each of K categories [K, S]; equal if there are none.
        iou: least overlap with the fused box of a cluster.

    Raises:
        ValueError: the sets have different photos, masks or weights.
    """
    photos, side = sets[0].photos, sets[0].mask_probs.shape[1:]
    for other in sets[1:]:
        if other.photos != photos or other.mask_probs.shape[1:] != side:
            raise ValueError("sets: expected the same photos and mask sides")
    shares = np.asarray(weights if len(weights) else [1.0] * len(sets), np.float64)
    if shares.shape[-1] != len(sets) or not (shares >= 0.0).all() or not (shares.sum(axis=-1) > 0.0).all():
        raise ValueError(f"weights: expected {len(sets)} of at least 0, not all 0, got {shares.tolist()}")
    shares = shares / shares.sum(axis=-1, keepdims=True)

    origin = np.repeat(np.arange(len(sets)), [len(each) for each in sets])
    photo_index, categories, scores, boxes, masks = (
        np.concatenate([getattr(each, name) for each in sets])
        for name in ("photo_index", "categories", "scores", "boxes_norm", "mask_probs")
    )
    of_rows = (
        np.broadcast_to(shares, (len(categories), len(sets))) if shares.ndim == 1 else shares[categories]
    )
    votes = of_rows[np.arange(len(origin)), origin] * scores
    order = np.lexsort((np.arange(len(votes)), -votes, categories, photo_index))
    order = order[votes[order] > 0.0]
    cluster = np.full(len(votes), -1)
    num_clusters = 0
    for rows in _groups(order, photo_index, categories):
        cluster[rows] = num_clusters + _cluster(boxes[rows], votes[rows], iou)
        num_clusters = int(cluster[rows].max()) + 1
    rows = order[np.argsort(cluster[order], kind="stable")]  # by cluster, then falling vote
    cluster = cluster[rows]
    first = rows[np.searchsorted(cluster, np.arange(num_clusters))]
    part = votes[rows] / np.bincount(cluster, votes[rows], num_clusters)[cluster]
    fused_boxes = _sums(boxes[rows] * part[:, None], cluster, num_clusters)
    resampled = _resample(masks[rows], boxes[rows], fused_boxes[cluster])
    fused_masks = _sums(resampled * part[:, None, None], cluster, num_clusters)
    best = np.zeros((num_clusters, len(sets)))
    np.maximum.at(best, (cluster, origin[rows]), scores[rows])
    return Detections.build(
        photos,
        photo_index[first],
        categories[first],
        np.sum(best * of_rows[first], axis=1),
        fused_boxes,
        np.round(fused_masks).astype(np.uint8),
    )


def mirror(detections: Detections) -> Detections:
    """The detections on the mirror images of their photos, left to right."""
    return Detections.build(
        detections.photos,
        detections.photo_index,
        detections.categories,
        detections.scores,
        np.stack([detections.boxes_norm[:, 0], 1.0 - detections.boxes_norm[:, 3],
                  detections.boxes_norm[:, 2], 1.0 - detections.boxes_norm[:, 1]], axis=1),
        detections.mask_probs[:, :, ::-1],
    )  # fmt: skip


def _groups(order: np.ndarray, *keys: np.ndarray) -> list[np.ndarray]:
    """`order` cut where a key changes."""
    if not len(order):
        return []
    changes = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
    return np.split(order, np.flatnonzero(changes) + 1)


def _cluster(boxes: np.ndarray, votes: np.ndarray, iou: float) -> np.ndarray:
    """Cluster of each box [n, 4] by falling vote [n]: the one whose fused box it overlaps most, or a new one."""
    sums = np.zeros((0, 4))
    weights = np.zeros(0)
    cluster = np.zeros(len(boxes), np.int64)
    for row, (box, vote) in enumerate(zip(boxes.astype(np.float64), votes, strict=True)):
        overlaps = _ious(sums / weights[:, None], box)
        chosen = int(overlaps.argmax()) if len(overlaps) and overlaps.max() > iou else len(sums)
        if chosen == len(sums):
            sums, weights = np.concatenate([sums, np.zeros((1, 4))]), np.append(weights, 0.0)
        sums[chosen] += vote * box
        weights[chosen] += vote
        cluster[row] = chosen
    return cluster


def _ious(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """IoU of boxes [n, 4] with one box [4]."""
    edges = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.prod(np.maximum(edges, 0.0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return shared / np.maximum(areas - shared, np.finfo(np.float64).tiny)


def _sums(values: np.ndarray, cluster: np.ndarray, num_clusters: int) -> np.ndarray:
    """Sums over the rows of each cluster; `cluster` [n] is ascending and names each."""
    starts = np.searchsorted(cluster, np.arange(num_clusters))
    return np.add.reduceat(values, starts, axis=0) if num_clusters else values[:0]


def _resample(masks: np.ndarray, boxes: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Masks [n, M, M] of `boxes` as grids of the boxes `frames`, both [n, 4]; 0 outside of their own box."""
    rows = np.arange(len(masks))[:, None]
    values = masks.astype(np.float32)
    for axis in range(2):
        cell, part, inside = _places(boxes[:, axis::2], frames[:, axis::2], masks.shape[1])
        # The mask's axis goes to the end and comes back transposed: rows first, then columns.
        lines = values.transpose(0, 2, 1) if axis == 0 else values
        low, high = (lines[rows, :, at].transpose(0, 2, 1) for at in (cell, cell + 1))
        blended = (low + (high - low) * part[:, None, :]) * inside[:, None, :]
        values = blended.transpose(0, 2, 1) if axis == 0 else blended
    return values


def _places(spans: np.ndarray, frames: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the cells of grids over `frames` lie in grids over `spans`, both [n, 2], along one axis.

    Returns:
        the cell before, 0 to M - 2 [n, M]; the part of the way to the next [n, M]; whether it is in the span [n, M].
    """
    # The fraction of the box at which a cell was trained; the inverse is in `paste.find_taps`.
    fractions = (np.arange(cells) * ((2 * cells - 1) / (cells - 1)) + 0.5) / (2 * cells)
    points = frames[:, :1] + fractions * (frames[:, 1:] - frames[:, :1])
    size = np.maximum(spans[:, 1:] - spans[:, :1], np.finfo(np.float32).tiny)
    within = (points - spans[:, :1]) / size
    places = np.clip((2 * cells * within - 0.5) * ((cells - 1) / (2 * cells - 1)), 0.0, cells - 1.0)
    cell = np.minimum(places.astype(np.intp), cells - 2)
    inside = (within >= 0.0) & (within <= 1.0)
    return cell, (places - cell).astype(np.float32), inside
