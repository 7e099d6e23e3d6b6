"""Which photos an epoch shows and in what order: a function of (seed, epoch); rare categories more often.

Repeat-factor sampling (LVIS, Gupta et al. 2019): a category in the share f of the photos has the factor
max(1, sqrt(t / f)), a photo the largest of its categories. There an epoch grows with the factors. Here it keeps its
length, and with it its time: photos are shown in proportion to their factors, so the others are shown less often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fashionseg.data.tables import INSTANCES_TABLE
from fashionseg.storage.parquet import read_table


@dataclass(frozen=True, eq=False)
class EpochOrder:
    """Order of the examples of each epoch.

    Attributes:
        seed: of all epochs.
        count: photos there are.
        length: examples of an epoch, at most `count`.
        factors: [count] repeat factors; None shows each photo at most once an epoch.
    """

    seed: int
    count: int
    length: int
    factors: NDArray[np.float64] | None = None

    def example(self, epoch: int, place: int) -> tuple[int, int]:
        """The photo at a place of the epoch, and how often the epoch shows it in lower-numbered examples."""
        repeat, photo = divmod(int(_draw(self, epoch)[place]), self.count)
        return photo, repeat


def repeat_factors(decoded: Path, image_ids: Sequence[str], threshold: float) -> NDArray[np.float64]:
    """The repeat factor of each photo, from the instances that the network trains on; 1 for a photo without any.

    Args:
        threshold: t, the share of photos below which a category is rare.

    Raises:
        UserError: the instance table is missing, not readable or lacks a column.
    """
    table = read_table(decoded / INSTANCES_TABLE, ("image_id", "category", "in_training"), "decode")
    table = table.filter(pc.and_(table["in_training"], pc.is_in(table["image_id"], pa.array(image_ids))))
    places = {image_id: place for place, image_id in enumerate(image_ids)}
    photos = np.array([places[image_id] for image_id in table["image_id"].to_pylist()], np.int64)
    # One row for each category of each photo.
    pairs = np.unique(np.stack((photos, table["category"].to_numpy().astype(np.int64)), axis=1), axis=0)
    _, category, num_photos = np.unique(pairs[:, 1], return_inverse=True, return_counts=True)
    of_category = np.maximum(1.0, np.sqrt(threshold * len(image_ids) / num_photos))
    factors = np.ones(len(image_ids))
    np.maximum.at(factors, pairs[:, 0], of_category[category])
    return factors


@lru_cache(maxsize=4)
def _draw(order: EpochOrder, epoch: int) -> NDArray[np.int64]:
    """The epoch's examples: photo + count * repeat."""
    rng = np.random.default_rng([order.seed, epoch])
    photos = rng.permutation(order.count)
    if order.factors is None:
        return photos
    # Systematic sampling: each photo's number of examples is its expectation, rounded down or up, and the sum is exact.
    ends = np.cumsum(order.factors[photos])
    marks = np.floor(ends * (order.length / ends[-1]) + rng.random())
    marks[-1] = order.length  # where rounding may fall short
    times = np.diff(marks, prepend=0.0).astype(np.int64)
    repeats = np.arange(order.length) - np.repeat(np.cumsum(times) - times, times)
    return rng.permutation(np.repeat(photos, times) + order.count * repeats)
