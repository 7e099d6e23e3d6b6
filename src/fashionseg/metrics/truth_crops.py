"""A photo's true masks from Kaggle's text to plain pixels, each in its box, all of them in one go.

A mask at a time, NumPy's calls cost several times their work: reading texts took a quarter of COCO AP. The texts are
those that `decode` wrote; `parse_rle` is for texts that others wrote.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fashionseg.detections.bit_masks import SIDE


def crop_truths(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[NDArray[np.bool_]]]:
    """The boxes, areas and pixels of masks in the 512 x 512 frame.

    Args:
        texts: [T], `start length start length ...` with one space between numbers, starts from 1 and ascending.

    Returns:
        int64 [T, 4], tight boxes y1, x1, y2, x2 in pixels, half-open; int64 [T], pixels inside; and for each mask
        bool [w, h], column-major, its pixels in its box.

    Raises:
        ValueError: a text is none of a mask in this frame.
    """
    if not texts:
        return np.zeros((0, 4), np.int64), np.zeros(0, np.int64), []
    runs, counts = _runs(texts)
    ends = np.cumsum(counts)
    begins = ends - counts
    columns, rows = np.divmod(runs[:, 0], SIDE)
    last_columns, last_rows = np.divmod(runs[:, 0] + runs[:, 1] - 1, SIDE)
    y1, y2 = np.minimum.reduceat(rows, begins), np.maximum.reduceat(last_rows, begins) + 1
    # A run that passes the frame's bottom goes on at its top.
    passes = np.maximum.reduceat(last_columns - columns, begins) > 0
    y1, y2 = np.where(passes, 0, y1), np.where(passes, SIDE, y2)
    x1, x2 = columns[begins], last_columns[ends - 1] + 1
    heights = y2 - y1
    sizes = heights * (x2 - x1)
    crop_ends = np.cumsum(sizes)
    # All crops one behind the other in a line of pixels, with the runs' starts counted there.
    starts = (columns - np.repeat(x1, counts)) * np.repeat(heights, counts) + rows - np.repeat(y1, counts)
    starts += np.repeat(crop_ends - sizes, counts)
    line = _fill(starts, runs[:, 1], int(crop_ends[-1]))
    crops = [
        line[end - size : end].reshape(-1, height)
        for end, size, height in zip(crop_ends.tolist(), sizes.tolist(), heights.tolist(), strict=True)
    ]
    return np.stack((y1, x1, y2, x2), axis=1), np.add.reduceat(runs[:, 1], begins), crops


def _runs(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Start from 0 and length of all runs, int64 [n, 2]; and how many each mask has, int64 [T]."""
    counts = np.array([text.count(" ") + 1 for text in texts])
    numbers = np.fromstring(" ".join(texts), np.int64, sep=" ")
    if (counts % 2).any() or len(numbers) != counts.sum() or numbers.min() < 1:
        raise ValueError("rles: expected pairs of start and length, one space between numbers")
    runs = numbers.reshape(-1, 2) - (1, 0)
    if runs.sum(axis=1).max() > SIDE * SIDE:
        raise ValueError(f"rles: expected runs within {SIDE} x {SIDE} pixels")
    return runs, counts // 2


def _fill(starts: np.ndarray, lengths: np.ndarray, size: int) -> NDArray[np.bool_]:
    """bool [size], true in the ascending runs."""
    edges = np.zeros(2 * len(starts) + 2, np.int64)
    edges[1:-1:2], edges[2:-1:2], edges[-1] = starts, starts + lengths, size
    return np.repeat(np.arange(len(edges) - 1) % 2 == 1, np.diff(edges))
