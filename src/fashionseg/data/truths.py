"""Ground truth of many photos in the 512 x 512 competition frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fashionseg.data.rle import Runs
from fashionseg.data.tables import INSTANCES_TABLE, unpack_runs
from fashionseg.storage.parquet import read_table


@dataclass(frozen=True)
class Truths:
    """Objects of many photos, T over all photos.

    Attributes:
        photos: ids of all photos, ascending.
        photo_index: int32 [T], ascending; object t lies in `photos[photo_index[t]]`.
        categories: int16 [T].
        class_ids: [T], as in train.csv, with attributes.
        runs: [T], masks in the 512 x 512 frame.
    """

    photos: tuple[str, ...]
    photo_index: np.ndarray
    categories: np.ndarray
    class_ids: tuple[str, ...]
    runs: tuple[Runs, ...]

    def __len__(self) -> int:
        return len(self.runs)

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64 [photos + 1]: the objects of photo p are `offsets[p]` to `offsets[p + 1]`."""
        return np.searchsorted(self.photo_index, np.arange(len(self.photos) + 1))


def read_truths(decoded: Path, photos: Sequence[str]) -> Truths:
    """The instances of `photos` in the decoded data; masks without a pixel at 512 x 512 are skipped.

    Raises:
        UserError: the instance table is missing, not readable or lacks a column.
    """
    path = decoded / INSTANCES_TABLE
    table = read_table(path, ("image_id", "category", "class_id", "runs_512"), "decode")
    ids = sorted(photos)
    table = table.filter(pc.is_in(table["image_id"], value_set=pa.array(ids, pa.string())))
    table = table.filter(pc.greater(pc.binary_length(table["runs_512"]), 0))
    places = {photo: place for place, photo in enumerate(ids)}
    index = np.array([places[photo] for photo in table["image_id"].to_pylist()], np.int32)
    order = np.argsort(index, kind="stable")
    table = table.take(order)
    return Truths(
        photos=tuple(ids),
        photo_index=index[order],
        categories=table["category"].to_numpy().astype(np.int16),
        class_ids=tuple(table["class_id"].to_pylist()),
        runs=unpack_runs(table["runs_512"], path),
    )
