"""Masks as runs: Kaggle's run-length text, its inverse, and nearest-neighbour resizing without a raster.

Runs are an int32 array [n, 2] of (start, length): pixels are numbered from 0 down the first column, then the next
(column-major); runs are sorted, do not overlap and do not touch, so equal masks have equal runs.
Kaggle's text is `start length start length ...` with starts from 1.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Runs = NDArray[np.int32]

MAX_PIXELS = 2**31 - 1  # of a mask, since runs are int32
COMPETITION_SIDE = 512  # masks are compared at 512 x 512, whatever the photo's shape

_NUMBERS_AND_SPACES = b"0123456789 "
_FROM_ONE = np.array([1, 0])  # added to a run: the text counts pixels from 1


def parse_rle(text: str, height: int, width: int) -> Runs:
    """Kaggle's text to runs of a mask of `height` x `width`.

    Raises:
        ValueError: empty, not numbers in pairs, a start or length below 1, a run beyond the last pixel, runs
            unsorted or overlapping (`repair_rle` fixes the last two), or a mask above MAX_PIXELS.
    """
    runs = _parse_pairs(text, height, width)
    if np.any(runs[1:, 0] < runs[:-1].sum(axis=1)):
        raise ValueError("EncodedPixels: expected ascending runs without overlap")
    return join_touching(runs[:, 0], runs[:, 1])


def repair_rle(text: str, height: int, width: int) -> Runs:
    """As `parse_rle`, but unsorted or overlapping runs become their union; the same runs where `parse_rle` succeeds."""
    runs = _parse_pairs(text, height, width)
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    return join_touching(runs[:, 0], runs[:, 1])


def format_rle(runs: Runs) -> str:
    """Runs to Kaggle's text; no runs give an empty text."""
    return " ".join(map(str, (runs + _FROM_ONE).ravel().tolist()))


def runs_to_mask(runs: Runs, hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Runs to a bool mask [h, w] (column-major in memory)."""
    height, width = hw
    edges = np.zeros(2 * len(runs) + 2, np.int64)
    edges[1:-1:2], edges[2:-1:2] = runs[:, 0], runs[:, 0] + runs[:, 1]
    edges[-1] = height * width
    gaps_and_lengths = np.diff(edges)
    inside = np.arange(len(gaps_and_lengths)) % 2 == 1
    return np.repeat(inside, gaps_and_lengths).reshape(width, height).T


def mask_to_runs(mask: NDArray[np.generic]) -> Runs:
    """Mask [h, w], bool or any numbers (non-zero is inside), to runs."""
    edges = np.flatnonzero(np.diff((mask != 0).ravel(order="F"), prepend=False, append=False))
    return _stack(edges[0::2], edges[1::2] - edges[0::2])


def runs_area(runs: Runs) -> int:
    """Pixels inside."""
    return int(runs[:, 1].sum())


def runs_box(runs: Runs, height: int) -> tuple[int, int, int, int]:
    """The tight box (y1, x1, y2, x2), half-open, of at least one run; `height` is the mask's.

    Raises:
        ValueError: no runs.
    """
    if len(runs) == 0:
        raise ValueError("runs: expected at least one, got none")
    first_column, top = np.divmod(runs[:, 0], height)
    last_column, bottom = np.divmod(runs.sum(axis=1) - 1, height)
    x1, x2 = int(first_column[0]), int(last_column[-1]) + 1
    if np.any(first_column != last_column):  # the run continues from a bottom edge at the next top
        return 0, x1, height, x2
    return int(top.min()), x1, int(bottom.max()) + 1, x2


def overlap_when_shifted(runs: Runs, shift: int) -> int:
    """Pixels p of the mask for which p - `shift` (in column-major order) is in the mask as well."""
    if len(runs) == 0:
        return 0
    starts, lengths = runs.astype(np.int64).T
    edges = np.stack((starts, starts + lengths), axis=1).ravel()
    inside_before = np.stack((np.cumsum(lengths) - lengths, np.cumsum(lengths)), axis=1).ravel()
    counts = np.interp(edges - shift, edges, inside_before)
    return round(float((counts[1::2] - counts[0::2]).sum()))


def resize_runs(runs: Runs, src_hw: tuple[int, int], dst_hw: tuple[int, int], centre: bool) -> Runs:
    """Nearest-neighbour resize of a mask on its runs.

    Target pixel i takes source pixel floor(i * n_in / n_out), exactly as cv2.INTER_NEAREST does, or with
    `centre` the one under its centre, floor((i + 0.5) * n_in / n_out), which shifts nothing.
    """
    height_in, height_out = src_hw[0], dst_hw[0]
    columns, tops, bottoms = _column_segments(runs, height_in)
    first_column = _first_target(src_hw[1], dst_hw[1], centre)
    first_row = _first_target(height_in, height_out, centre)
    copies = first_column[columns + 1] - first_column[columns]
    kept = np.flatnonzero(copies)
    copies, columns = copies[kept], first_column[columns[kept]]
    tops, bottoms = first_row[tops[kept]], first_row[bottoms[kept]]
    if len(copies) and copies.max() > 1:  # enlarging: a source column fills several target columns
        columns, tops, bottoms = (np.repeat(part, copies) for part in (columns, tops, bottoms))
        columns = columns + _count_up(copies)
        order = np.argsort(columns, kind="stable")
        columns, tops, bottoms = columns[order], tops[order], bottoms[order]
    filled = bottoms > tops
    return join_touching((columns * height_out + tops)[filled], (bottoms - tops)[filled])


def _column_segments(
    runs: Runs, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Runs cut at column borders: column, first row and end row of each segment, in order."""
    starts = runs[:, 0].astype(np.int64)
    ends = starts + runs[:, 1]
    columns = starts // height
    counts = (ends - 1) // height - columns + 1
    if len(counts) and counts.max() > 1:
        columns = np.repeat(columns, counts) + _count_up(counts)
        starts = np.maximum(np.repeat(starts, counts), columns * height)
        ends = np.minimum(np.repeat(ends, counts), (columns + 1) * height)
    return columns, starts - columns * height, ends - columns * height


def _count_up(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... up to each of `counts`, one after the other: [2, 3] gives 0 1 0 1 2."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


@lru_cache(maxsize=256)
def _first_target(n_in: int, n_out: int, centre: bool) -> NDArray[np.int64]:
    """For each source index 0..n_in: how many target indices take a source index below it."""
    if centre:
        sources = (2 * np.arange(n_out) + 1) * n_in // (2 * n_out)
    else:
        # cv2 multiplies by a rounded reciprocal in doubles; the same steps give the same pixels.
        sources = np.floor(np.arange(n_out) * (1.0 / (n_out / n_in))).astype(np.int64)
        sources = np.minimum(sources, n_in - 1)
    return np.searchsorted(sources, np.arange(n_in + 1))


def _parse_pairs(text: str, height: int, width: int) -> NDArray[np.int64]:
    """The text's pairs [n, 2] with starts from 0, each inside the image, in the order given."""
    if strange := text.encode("utf-8", "replace").translate(None, _NUMBERS_AND_SPACES):
        raise ValueError(
            f"EncodedPixels: expected digits and spaces, got {strange[:8].decode(errors='replace')!r}"
        )
    numbers = np.fromstring(text, np.int64, sep=" ") if text.strip(" ") else np.zeros(0, np.int64)
    if len(numbers) == 0:
        raise ValueError("EncodedPixels: expected at least one run, got none")
    if len(numbers) % 2:
        raise ValueError(f"EncodedPixels: expected pairs of start and length, got {len(numbers)} numbers")
    starts, lengths = numbers[0::2], numbers[1::2]
    if numbers.min() < 1:
        raise ValueError("EncodedPixels: expected starts and lengths of at least 1, got 0")
    size = height * width
    if size > MAX_PIXELS:
        raise ValueError(
            f"EncodedPixels: expected a mask of at most {MAX_PIXELS} pixels, got {height} x {width}"
        )
    beyond = (starts > size) | (lengths > size - starts + 1)
    if beyond.any():
        start, length = numbers.reshape(-1, 2)[int(np.argmax(beyond))]
        raise ValueError(
            f"EncodedPixels: expected runs within {height} x {width} = {size} pixels, got {start} {length}"
        )
    return numbers.reshape(-1, 2) - _FROM_ONE


def join_touching(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Runs:
    """Runs sorted by start; those that touch or overlap become one."""
    if len(starts) < 2:
        return _stack(starts, lengths)
    ends = np.maximum.accumulate(starts + lengths)
    begins = np.flatnonzero(np.concatenate(([True], starts[1:] > ends[:-1])))
    last = np.append(begins[1:] - 1, len(starts) - 1)
    return _stack(starts[begins], ends[last] - starts[begins])


def _stack(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Runs:
    return np.stack((starts, lengths), axis=1).astype(np.int32)
