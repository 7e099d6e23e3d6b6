"""From a box and its small mask of probabilities to a binary mask in a photo's or the competition's frame.

The mask head answers on an M x M grid that spans the box (He et al., Mask R-CNN, section 3: the mask is resized to the
box and binarised). A pixel whose centre lies in the box takes the bilinear interpolation of the grid there, each cell
at the place that it was trained on (`_taps`); beyond the outermost cells their value goes on. The box keeps its
fractions of a pixel, so a mask does not jump with rounding.
"""

from __future__ import annotations

import math
import threading

import numpy as np

from fashionseg.data.rle import Runs, mask_to_runs
from fashionseg.evaluation.bit_masks import SIDE, BitMask, from_columns

_scratch = threading.local()


def paste_columns(
    mask_probs: np.ndarray, box_norm: np.ndarray, hw: tuple[int, int]
) -> tuple[int, int, np.ndarray]:
    """Probabilities inside the box, column-major.

    Args:
        mask_probs: uint8 [M, M], 255 = certain.
        box_norm: [4], y1, x1, y2, x2 as fractions of the frame.
        hw: the frame's height and width in pixels.

    Returns:
        First row and first column (pixels of the frame) and float32 [w, h] in 0..255, which the next call of this
        thread overwrites. w or h is 0 where the box holds no pixel's centre.
    """
    top, rows_from, rows_part = _taps(box_norm[0] * hw[0], box_norm[2] * hw[0], hw[0], mask_probs.shape[0])
    left, columns_from, columns_part = _taps(
        box_norm[1] * hw[1], box_norm[3] * hw[1], hw[1], mask_probs.shape[1]
    )
    grid = mask_probs.T.astype(np.float32)
    strips = grid[:, rows_from] + (grid[:, 1:] - grid[:, :-1])[:, rows_from] * rows_part
    shape = (len(columns_from), len(rows_from))
    pasted, base = _buffers(shape)
    np.take(strips[1:] - strips[:-1], columns_from, axis=0, out=pasted, mode="clip")
    np.take(strips, columns_from, axis=0, out=base, mode="clip")
    pasted *= columns_part[:, None]
    pasted += base
    return top, left, pasted


def paste_bits(mask_probs: np.ndarray, box_norm: np.ndarray, thresholds: tuple[float, ...]) -> list[BitMask]:
    """Masks in the 512 x 512 competition frame, one for each threshold in 0..1 (a pixel at the threshold is inside)."""
    top, left, pasted = paste_columns(mask_probs, box_norm, (SIDE, SIDE))
    rows = slice(top, top + pasted.shape[1])
    masks = []
    for threshold in thresholds:
        columns = np.zeros((len(pasted), SIDE), np.bool_)
        np.greater_equal(pasted, np.float32(255.0 * threshold), out=columns[:, rows])
        masks.append(from_columns(columns, left))
    return masks


def paste_runs(mask_probs: np.ndarray, box_norm: np.ndarray, hw: tuple[int, int], threshold: float) -> Runs:
    """Runs of the mask in a frame of any size."""
    top, left, pasted = paste_columns(mask_probs, box_norm, hw)
    width, height = pasted.shape
    if width == 0 or height == 0:
        return np.zeros((0, 2), np.int32)
    columns = np.zeros((width, hw[0]), np.bool_)
    np.greater_equal(pasted, np.float32(255.0 * threshold), out=columns[:, top : top + height])
    return mask_to_runs(columns.T) + np.array([left * hw[0], 0], np.int32)


def _taps(low: float, high: float, pixels: int, cells: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Along one axis: the first pixel with its centre in [low, high), and for each such pixel the cell to its left
    (0 to cells - 2) and how far it lies towards the next (0 to 1)."""
    low, high = float(low), float(high)
    first = max(math.ceil(low - 0.5), 0)
    end = min(math.ceil(high - 0.5), pixels)
    if end <= first:
        return first, np.zeros(0, np.intp), np.zeros(0, np.float32)
    scale = cells / (high - low)
    # Cell i was trained on the sample at i / (M - 1) of a mini-mask of 2 M cells, from centre to centre of its
    # outermost cells. Half-pixel centres here would shrink every mask by a hundredth of its box on each side.
    in_box = (np.arange(first, end) + (0.5 - low)) * scale
    places = (2.0 * in_box - 0.5) * ((cells - 1) / (2 * cells - 1))
    places = np.minimum(np.maximum(places, 0.0), cells - 1.0)
    cell = np.minimum(places.astype(np.intp), cells - 2)
    return first, cell, (places - cell).astype(np.float32)


def _buffers(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 arrays of `shape`, kept between calls: fresh ones cost more in page faults than the pasting."""
    size = shape[0] * shape[1]
    kept = getattr(_scratch, "kept", None)
    if kept is None or kept.shape[1] < size:
        kept = _scratch.kept = np.empty((2, max(size, SIDE * SIDE)), np.float32)
    return kept[0, :size].reshape(shape), kept[1, :size].reshape(shape)
