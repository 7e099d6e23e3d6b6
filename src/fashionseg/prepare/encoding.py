"""Encodings of train.csv other than Kaggle's: translated where stated, noticed where not.

Kaggle's are pairs of start and length, starts from 1, column by column, and the photo's Height and Width. A file that
differs from this as a whole gives noise, or masks one pixel off, without a faulty row. A `Reading` is a set of
differences (`decode.encoding`): `rows` (row by row), `from_0`, `start_end` (pairs of first and last pixel),
`coco_counts` (lengths of background and mask in turn), `exchanged_sizes` (Height holds the width).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fashionseg.data.jpeg import PhotoError
from fashionseg.data.rle import Runs, format_rle, mask_to_runs, overlap_when_shifted, runs_area, runs_to_mask
from fashionseg.errors import UserError
from fashionseg.prepare.annotations import parse_size
from fashionseg.prepare.csv_index import Layout, Row, Span, read_rows
from fashionseg.prepare.photo_header import read_file, read_header

T = TypeVar("T")
Reading = tuple[str, ...]
HW = tuple[int, int]

KAGGLE: Reading = ()
WORDS = {
    "rows": "masks row by row",
    "from_0": "pixels numbered from 0",
    "start_end": "pairs of first and last pixel",
    "coco_counts": "COCO's counts",
    "exchanged_sizes": "Height and Width exchanged",
}

# Photos that are checked, evenly spread over the file; few masks reach the edge, where the first number shows.
SAMPLE, EDGE_SAMPLE = 64, 1024
_MIN_MASKS = 3
# A mask of fewer runs or pixels says little about the order of its pixels: thin ones are rough either way.
_MIN_RUNS, _MIN_AREA = 8, 64
_SMOOTH, _MUCH_ROUGHER = 0.35, 0.3  # share of pixels without a neighbour in the next line
_MIN_STRAYS, _STRAYS_PER_TOP = 6, 8


def restate(row: Row, reading: Reading) -> Row:
    """The row with Height and Width as Kaggle gives them."""
    return replace(row, height=row.width, width=row.height) if "exchanged_sizes" in reading else row


def to_kaggle(text: str, hw: HW, reading: Reading) -> str:
    """EncodedPixels of a mask of `hw` pixels as Kaggle's text.

    Raises:
        ValueError: it is not what the reading says.
    """
    if not {*reading} - {"exchanged_sizes"}:
        return text
    runs = read_runs(text, hw, reading)
    if runs is None:
        raise ValueError(f"EncodedPixels: expected {describe(reading)} within {hw[0]} x {hw[1]} pixels")
    if "rows" in reading:
        runs = mask_to_runs(runs_to_mask(runs, hw[::-1]).T)
    return format_rle(runs)


def describe(reading: Reading) -> str:
    return " and ".join(WORDS[name] for name in reading)


def read_runs(text: str, hw: HW, reading: Reading) -> Runs | None:
    """Runs from 0, in the order of the reading's lines; None where the text cannot be of the reading."""
    size = hw[0] * hw[1]
    if not text or text.encode("utf-8", "replace").translate(None, b"0123456789 ") or size >= 2**31:
        return None
    numbers = np.array([min(int(word), 2**40) for word in text.split()], np.int64)
    if "coco_counts" in reading:
        if numbers.sum() != size:
            return None
        ends = np.cumsum(numbers)
        starts, lengths = (ends - numbers)[1::2], numbers[1::2]
    elif len(numbers) % 2:
        return None
    else:
        starts, lengths = numbers[0::2] - ("from_0" not in reading), numbers[1::2]
        if "start_end" in reading:
            lengths = lengths - ("from_0" not in reading) - starts + 1
    ends = starts + lengths
    if (
        not len(starts)
        or starts.min() < 0
        or lengths.min() < 1
        or ends.max() > size
        or np.any(starts[1:] < ends[:-1])
    ):
        return None
    return np.stack((starts, lengths), axis=1).astype(np.int32)


def check_encoding(
    layout: Layout, photos: Sequence[tuple[Path, tuple[Span, ...]]], max_megapixels: float
) -> None:
    """Checks over a sample of photos, each with the spans of its rows, that Kaggle's reading is the plausible one.

    Raises:
        UserError: another reading explains the file plainly better.
    """
    masks = list(_sample(layout, _spread(photos, SAMPLE), max_megapixels))
    if not masks:
        return
    reading = plainly_better(masks)
    if not {"from_0", "coco_counts"} & {*reading}:
        edges = list(_sample(layout, _spread(photos, EDGE_SAMPLE), max_megapixels))
        if _begins_at_0(edges, reading):
            reading, masks = (*reading, "from_0"), edges
    if reading != KAGGLE:
        as_given, as_read = _Evidence.of(masks, KAGGLE), _Evidence.of(masks, reading)
        raise UserError(
            f"{layout.path}: expected Kaggle's encoding, got {describe(reading)}: so read, {as_read.text}; as "
            f"Kaggle's, {as_given.text}; state it with decode.encoding=[{','.join(reading)}], or "
            "decode.encoding=[] if it is Kaggle's"
        )


@dataclass(frozen=True)
class Mask:
    """A row of the sample: its text, the size it gives, and the sizes that its photo has (upright, as stored)."""

    text: str
    csv_hw: HW
    photo_hws: frozenset[HW]


def plainly_better(masks: Sequence[Mask]) -> Reading:
    """The reading that explains the masks plainly better than Kaggle's; Kaggle's where there is none."""
    given = _Evidence.of(masks, KAGGLE)
    best = KAGGLE
    for first in ((), ("from_0",)):  # from 0 only where nothing from 1 explains the file
        better = []
        for numbers, rows, sizes in itertools.product(
            ((), ("start_end",), ("coco_counts",)), ((), ("rows",)), ((), ("exchanged_sizes",))
        ):
            reading: Reading = (*rows, *numbers, *sizes, *first)
            if (other := _Evidence.of(masks, reading)).explains_better_than(given):
                better.append((other.roughness, len(reading), reading))
        if better and best == KAGGLE:
            best = min(better)[2]
    is_off = not {"from_0", "coco_counts"} & {*best} and _begins_at_0(masks, best)
    return (*best, "from_0") if is_off else best


def _begins_at_0(masks: Sequence[Mask], reading: Reading) -> bool:
    return _Evidence.of(masks, (*reading, "from_0")).strays_less_than(_Evidence.of(masks, reading))


@dataclass(frozen=True, eq=False)
class _Evidence:
    """What the masks look like in one reading.

    Attributes:
        fits: bool [N], whether the text is valid and the size the photo's.
        rough: float [N], share of pixels without a neighbour in the next line; NaN for small masks and those that do
            not fit.
        strays: runs that begin on the last pixel of a line and continue on the next, as masks at the edge do when
            they are read one pixel off.
        tops: runs that begin on the first pixel of a line.
    """

    fits: NDArray[np.bool_]
    rough: NDArray[np.float64]
    strays: int
    tops: int

    @classmethod
    def of(cls, masks: Sequence[Mask], reading: Reading) -> _Evidence:
        fits, rough = np.zeros(len(masks), bool), np.full(len(masks), np.nan)
        strays = tops = 0
        for place, mask in enumerate(masks):
            hw = mask.csv_hw[::-1] if "exchanged_sizes" in reading else mask.csv_hw
            runs = read_runs(mask.text, hw, reading) if hw in mask.photo_hws else None
            if runs is None:
                # Kaggle's numbers are never 0: such a run is one pixel off.
                strays += "from_0" not in reading and any(word == "0" for word in mask.text.split(" ")[::2])
                continue
            fits[place] = True
            line = hw[1] if "rows" in reading else hw[0]
            positions = runs[:, 0] % line
            strays += int(np.sum((positions == line - 1) & (runs[:, 1] > 1)))
            tops += int(np.sum(positions == 0))
            if len(runs) >= _MIN_RUNS and (area := runs_area(runs)) >= _MIN_AREA:
                rough[place] = 1 - overlap_when_shifted(runs, line) / area
        return cls(fits, rough, strays, tops)

    @property
    def roughness(self) -> float:
        judged = self.rough[~np.isnan(self.rough)]
        return float(judged.mean()) if len(judged) else 0.0

    @property
    def text(self) -> str:
        return (
            f"{self.fits.sum()} of {len(self.fits)} masks fit their photos, {100 * (1 - self.roughness):.0f} % of "
            f"their pixels continue in the next line, {self.strays} runs begin a pixel before it"
        )

    def explains_better_than(self, other: _Evidence) -> bool:
        """Whether masks fit that do not in the other reading, or are smooth that are not."""
        if self.fits.sum() < max(_MIN_MASKS, 0.9 * len(self.fits)) or self.roughness > _SMOOTH:
            return False
        if other.fits.mean() < 0.5:
            return True
        both = ~np.isnan(self.rough) & ~np.isnan(other.rough)
        if both.sum() < _MIN_MASKS:
            return False
        excess = other.rough[both] - self.rough[both]
        return bool(np.median(excess) > _MUCH_ROUGHER and np.mean(excess > 0.1) > 0.8)

    def strays_less_than(self, other: _Evidence) -> bool:
        """Whether masks at the edge end at it that run over it in the other reading."""
        return (
            self.fits.mean() >= max(0.9, other.fits.mean())
            and other.strays >= max(_MIN_STRAYS, _STRAYS_PER_TOP * max(other.tops, self.strays))
            and self.tops >= _MIN_STRAYS
        )


def _spread(photos: Sequence[T], count: int) -> Sequence[T]:
    return photos[:: -(-len(photos) // count) or 1]


def _sample(
    layout: Layout, photos: Iterable[tuple[Path, tuple[Span, ...]]], max_megapixels: float
) -> Iterable[Mask]:
    for path, spans in photos:
        try:
            header = read_header(read_file(path), max_megapixels)
        except PhotoError:
            continue
        sizes = frozenset({header.upright_hw, (header.height, header.width)})
        for row in read_rows(layout, spans):
            try:
                yield Mask(row.encoded_pixels, parse_size(row), sizes)
            except ValueError:
                continue
