"""The ground truth that predictions are compared with, as run-length text until a photo's turn comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fashionseg.data.tables import INSTANCES_TABLE
from fashionseg.errors import UserError

_COLUMNS = ("image_id", "category", "class_id", "rle_512")


@dataclass(frozen=True)
class Truths:
    """Objects of many photos in the 512 x 512 competition frame, T over all.

    Attributes:
        photos: ids of all photos, ascending.
        photo_index: int32 [T], ascending; object t lies in `photos[photo_index[t]]`.
        categories: int16 [T].
        class_ids: [T], as in train.csv, with attributes.
        rles: [T], Kaggle's text of the mask in the 512 x 512 frame.
    """

    photos: tuple[str, ...]
    photo_index: np.ndarray
    categories: np.ndarray
    class_ids: tuple[str, ...]
    rles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rles)

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64 [photos + 1]: the objects of photo p are `offsets[p]` to `offsets[p + 1]`."""
        return np.searchsorted(self.photo_index, np.arange(len(self.photos) + 1))


def read_truths(decoded: Path, photos: Sequence[str]) -> Truths:
    """The instances of `photos` in the decoded data; masks that vanished at 512 x 512 are left out.

    Raises:
        UserError: the instance table is missing, not readable or lacks a column.
    """
    path = decoded / INSTANCES_TABLE
    try:
        table = pq.read_table(path, columns=list(_COLUMNS))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not readable: {' '.join(str(error).split())}") from None
    ids = sorted(photos)
    table = table.filter(pc.is_in(table["image_id"], value_set=pa.array(ids, pa.string())))
    table = table.filter(pc.greater(pc.utf8_length(table["rle_512"]), 0))
    places = {photo: place for place, photo in enumerate(ids)}
    index = np.array([places[photo] for photo in table["image_id"].to_pylist()], np.int32)
    order = np.argsort(index, kind="stable")
    table = table.take(order)
    return Truths(
        photos=tuple(ids),
        photo_index=index[order],
        categories=table["category"].to_numpy().astype(np.int16),
        class_ids=tuple(table["class_id"].to_pylist()),
        rles=tuple(table["rle_512"].to_pylist()),
    )
