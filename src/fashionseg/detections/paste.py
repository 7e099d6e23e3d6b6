"""Mask pasting: a box and its grid of probabilities to a binary mask in the frame of a photo or the competition.

The mask head predicts an M x M grid that spans the box (He et al., Mask R-CNN, section 3: the mask is resized to the
box and binarised). A pixel whose centre lies in the box gets the bilinear interpolation of the grid, with each cell
at the position it was trained on (`find_taps`); values are clamped beyond the outermost cells. Boxes are not rounded to
whole pixels, so a mask does not jump.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from fashionseg.data.rle import Runs, join_touching
from fashionseg.detections.bit_masks import SIDE, BitMask, from_columns

_scratch = threading.local()


@dataclass(frozen=True, eq=False)
class Taps:
    """Interpolation positions of the pixels of N boxes: along the rows of every box, then along the columns.

    Attributes:
        first: int64 [2, N], the first row and the first column whose centre is in the box.
        count: int64 [2, N], rows and columns with centres in the box.
        end: int64 [2, N], the end of each box in the two arrays below.
        cell: intp [all], the cell above or to the left, 0 to M - 2.
        part: float32 [all], position between the cell and the next one, 0 to 1.
    """

    first: np.ndarray
    count: np.ndarray
    end: np.ndarray
    cell: np.ndarray
    part: np.ndarray

    def of(self, box: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """`cell` and `part` of one box along the rows (0) or the columns (1)."""
        end = self.end[axis, box]
        its = slice(end - self.count[axis, box], end)
        return self.cell[its], self.part[its]


def find_taps(boxes_norm: np.ndarray, hw: tuple[int, int], cells: int) -> Taps:
    """Taps of boxes [N, 4], y1, x1, y2, x2 as fractions of a frame of `hw` pixels, with grids of `cells` x `cells`.

    All boxes at once: the arrays of a single box are so short that NumPy's calls would cost more than the work.
    """
    size = np.array(hw, boxes_norm.dtype)
    low = (boxes_norm[:, :2] * size).T.astype(np.float64)
    high = (boxes_norm[:, 2:] * size).T.astype(np.float64)
    first = np.maximum(np.ceil(low - 0.5), 0.0)
    count = np.maximum(np.minimum(np.ceil(high - 0.5), np.array(hw)[:, None]) - first, 0.0).astype(np.int64)
    scale = np.divide(cells, high - low, out=np.zeros_like(low), where=count > 0)
    repeats = count.ravel()
    end = np.cumsum(repeats)
    pixels = np.arange(repeats.sum()) + np.repeat(first.ravel() - (end - repeats), repeats)
    # Cell i was trained on the sample at i / (M - 1) of a mini-mask of 2 M cells, from centre to centre of its
    # outermost cells. Half-pixel centres here would shrink every mask by a hundredth of its box on each side.
    in_box = (pixels + np.repeat((0.5 - low).ravel(), repeats)) * np.repeat(scale.ravel(), repeats)
    places = (2.0 * in_box - 0.5) * ((cells - 1) / (2 * cells - 1))
    places = np.minimum(np.maximum(places, 0.0), cells - 1.0)
    cell = np.minimum(places.astype(np.intp), cells - 2)
    return Taps(first.astype(np.int64), count, end.reshape(2, -1), cell, (places - cell).astype(np.float32))


def interpolate(mask_probs: np.ndarray, taps: Taps, box: int) -> np.ndarray:
    """Probabilities inside one of the boxes, column-major.

    Args:
        mask_probs: uint8 [M, M] of this box, 255 = certain.
        taps: of the boxes.
        box: index of the box.

    Returns:
        float32 [w, h] in 0..255, overwritten by the next call in this thread.
    """
    row_cell, row_part = taps.of(box, 0)
    column_cell, column_part = taps.of(box, 1)
    grid = mask_probs.astype(np.float32)
    strips = (grid[1:] - grid[:-1]).take(row_cell, axis=0, mode="clip")
    strips *= row_part[:, None]
    strips += grid.take(row_cell, axis=0, mode="clip")
    strips = np.ascontiguousarray(strips.T)
    pasted, base = _buffers((len(column_cell), len(row_cell)))
    (strips[1:] - strips[:-1]).take(column_cell, axis=0, out=pasted, mode="clip")
    strips.take(column_cell, axis=0, out=base, mode="clip")
    pasted *= column_part[:, None]
    pasted += base
    return pasted


def paste_bits(mask_probs: np.ndarray, taps: Taps, box: int, thresholds: tuple[float, ...]) -> list[BitMask]:
    """Masks in the 512 x 512 competition frame, one for each threshold in 0..1 (a pixel at the threshold is inside).

    `mask_probs`, `taps` and `box` as in `interpolate`; the taps are of that frame.
    """
    pasted = interpolate(mask_probs, taps, box)
    top, left = taps.first[:, box].tolist()
    rows = slice(top, top + pasted.shape[1])
    masks = []
    for threshold in thresholds:
        columns = np.zeros((len(pasted), SIDE), np.bool_)
        np.greater_equal(pasted, np.float32(255.0 * threshold), out=columns[:, rows])
        masks.append(from_columns(columns, left))
    return masks


def paste_box_runs(mask_probs: np.ndarray, taps: Taps, box: int, height: int, threshold: float) -> Runs:
    """Runs of the mask in the frame of the taps, which is `height` pixels high; arguments as in `paste_bits`."""
    pasted = interpolate(mask_probs, taps, box)
    width, rows = pasted.shape
    top, left = taps.first[:, box].tolist()
    # One pixel before the mask and an empty row below it: every run starts and ends, and ends in its own column.
    line = np.zeros(1 + width * (rows + 1), np.bool_)
    inside = line[1:].reshape(width, rows + 1)[:, :rows]
    np.greater_equal(pasted, np.float32(255.0 * threshold), out=inside)
    column, row = np.divmod(np.flatnonzero(line[1:] != line[:-1]), rows + 1)
    edges = column * height + (row + (left * height + top))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    if rows == height:
        return join_touching(starts, lengths)
    return np.stack((starts, lengths), axis=1).astype(np.int32)


def paste_runs(mask_probs: np.ndarray, box_norm: np.ndarray, hw: tuple[int, int], threshold: float) -> Runs:
    """Runs of one mask in a frame of any size; `box_norm` [4], y1, x1, y2, x2 as fractions of the frame."""
    return paste_box_runs(mask_probs, find_taps(box_norm[None], hw, len(mask_probs)), 0, hw[0], threshold)


def _buffers(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 arrays of `shape`, kept between calls: new arrays cost more in page faults than the pasting."""
    size = shape[0] * shape[1]
    kept = getattr(_scratch, "kept", None)
    if kept is None or kept.shape[1] < size:
        kept = _scratch.kept = np.empty((2, max(size, SIDE * SIDE)), np.float32)
    return kept[0, :size].reshape(shape), kept[1, :size].reshape(shape)
