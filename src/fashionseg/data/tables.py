"""The two Parquet tables of the stage `decode`, photos and instances: written in row groups, read as data frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from fashionseg.data.rle import COMPETITION_SIDE, Runs, runs_area, runs_box
from fashionseg.errors import UserError
from fashionseg.storage.parquet import read_table
from fashionseg.taxonomy import format_class_id

if TYPE_CHECKING:
    import pandas as pd

PHOTOS_TABLE = "photos.parquet"
INSTANCES_TABLE = "instances.parquet"

_PHOTOS = pa.schema(
    {
        "subset": pa.string(),
        "image_id": pa.string(),
        "height": pa.int32(),
        "width": pa.int32(),
        "stored_height": pa.int32(),
        "stored_width": pa.int32(),
        "record": pa.int32(),
        "dhash": pa.uint64(),
    }
)
_INSTANCES = pa.schema(
    {
        "image_id": pa.string(),
        "instance": pa.int16(),
        "category": pa.int16(),
        "class_id": pa.string(),
        "attributes": pa.list_(pa.int16()),
        "in_training": pa.bool_(),
        "area_512": pa.int32(),
        "y1": pa.int16(),
        "x1": pa.int16(),
        "y2": pa.int16(),
        "x2": pa.int16(),
        "runs_512": pa.binary(),
    }
)
_ROW_GROUP = 16384


@dataclass(frozen=True)
class Instance:
    """One object; `runs` at the stored size (None: too small to train on), `runs_512` in the competition's frame."""

    category: int
    attributes: tuple[int, ...]
    runs: Runs | None
    runs_512: Runs


class InstanceTable:
    """Writes the instance table; at most one row group is in memory."""

    def __init__(self, folder: Path) -> None:
        self._writer = parquet.ParquetWriter(folder / INSTANCES_TABLE, _INSTANCES, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, image_id: str, number: int, instance: Instance) -> None:
        box = runs_box(instance.runs_512, COMPETITION_SIDE)
        self._rows.append(
            {
                "image_id": image_id,
                "instance": number,
                "category": instance.category,
                "class_id": format_class_id(instance.category, instance.attributes),
                "attributes": list(instance.attributes),
                "in_training": instance.runs is not None,
                "area_512": runs_area(instance.runs_512),
                **dict(zip(("y1", "x1", "y2", "x2"), box, strict=True)),
                "runs_512": pack_runs(instance.runs_512),
            }
        )
        if len(self._rows) == _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, _INSTANCES))
            self._rows.clear()


def pack_runs(runs: Runs) -> bytes:
    """Runs as int32 pairs of start and length, little-endian."""
    return runs.astype("<i4").tobytes()


def unpack_runs(column: pa.ChunkedArray, path: Path) -> tuple[Runs, ...]:
    """The inverse of `pack_runs` for a column of the table in `path`, without parsing: 0.4 us per mask.

    Raises:
        UserError: a value is not whole pairs.
    """
    values = column.to_pylist()
    if any(len(value) % 8 for value in values):
        raise UserError(f"{path}: runs_512: expected pairs of int32; run the stage decode")
    return tuple(map(unpack_runs_of, values))


def unpack_runs_of(packed: bytes) -> Runs:
    """The inverse of `pack_runs`."""
    return np.frombuffer(packed, "<i4").reshape(-1, 2)


def write_photos(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the photo table; keys as in `read_photos`, and `subset` ("train" or "test")."""
    parquet.write_table(pa.Table.from_pylist(rows, _PHOTOS), folder / PHOTOS_TABLE, compression="zstd")


def read_photos(decoded: Path, subset: str) -> pd.DataFrame:
    """The photo table of a subset: image_id, height, width (original, upright), stored_height, stored_width,
    record (index over the subset's shards), dhash (uint64); sorted by image_id.

    Raises:
        UserError: the table is missing or not readable.
    """
    photos = read_table(decoded / PHOTOS_TABLE, None, "decode").to_pandas()
    return photos[photos["subset"] == subset].drop(columns="subset").reset_index(drop=True)


def read_instances(decoded: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The instance table, or some of its columns; sorted by image_id and instance.

    image_id, instance, category, class_id, attributes (lists), in_training (false: too small at the stored size), and
    in the 512 x 512 frame of the competition area_512, the half-open box y1, x1, y2, x2 and runs_512 (`unpack_runs`).

    Raises:
        UserError: the table is missing or not readable.
    """
    return read_table(decoded / INSTANCES_TABLE, columns, "decode").to_pandas()


def record_indices(decoded: Path, subset: str, image_ids: Sequence[str]) -> NDArray[np.int64]:
    """Positions of photos in the subset's shards.

    Raises:
        UserError: a photo was not decoded.
    """
    photos = read_photos(decoded, subset)
    by_id = dict(zip(photos["image_id"], photos["record"], strict=True))
    if missing := [image_id for image_id in image_ids if image_id not in by_id]:
        raise UserError(
            f"{decoded / PHOTOS_TABLE}: no {subset} photo {missing[0]!r} ({len(missing)} such ids)"
        )
    return np.array([by_id[image_id] for image_id in image_ids], np.int64)
