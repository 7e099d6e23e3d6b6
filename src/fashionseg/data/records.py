"""Photos with their masks in sharded record files, written by the stage `decode` and read by the loader.

A record is a msgpack map (no pickle: reading one runs no code). Shards are ArrayRecord files, one record a group, so
that any photo can be read on its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from fashionseg.data.rle import Runs
from fashionseg.errors import UserError

_MAX_SIDE = 65_500  # of a JPEG
# JPEGs do not compress further, and random access should not have to decompress.
_OPTIONS = "group_size:1,uncompressed"


@dataclass(frozen=True)
class PhotoRecord:
    """A photo at the stored size with the masks of its instances, all in the frame of the upright photo.

    `jpeg` is the RGB photo; `height` and `width` its pixels; `categories` int16 [n]; `runs` n masks in reading order
    of `fashionseg.data.rle` at height x width. Test photos have n = 0.
    """

    image_id: str
    jpeg: bytes
    height: int
    width: int
    categories: NDArray[np.int16]
    runs: tuple[Runs, ...]

    def to_bytes(self) -> bytes:
        """A msgpack map of the fields, arrays as little-endian bytes."""
        categories = self.categories.astype("<i2").tobytes()
        runs = [runs.astype("<i4").tobytes() for runs in self.runs]
        return msgpack.packb(vars(self) | {"categories": categories, "runs": runs})

    @classmethod
    def from_bytes(cls, data: bytes) -> PhotoRecord:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: not such a record.
        """
        try:
            values = msgpack.unpackb(data)
            values["categories"] = np.frombuffer(values["categories"], "<i2")
            values["runs"] = tuple(np.frombuffer(runs, "<i4").reshape(-1, 2) for runs in values["runs"])
            record = cls(**values)
            record._check()
        except (ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
            raise ValueError(f"expected a photo record, got other bytes: {error}") from None
        return record

    def _check(self) -> None:
        """Raises ValueError for damage that would otherwise show later, far from its cause."""
        if not (isinstance(self.image_id, str) and isinstance(self.jpeg, bytes)):
            raise ValueError("image_id or jpeg has another type")
        if not all(type(side) is int and 0 < side <= _MAX_SIDE for side in (self.height, self.width)):
            raise ValueError(f"a photo of {self.height!r} x {self.width!r}")
        if len(self.categories) != len(self.runs) or not all(len(runs) for runs in self.runs):
            raise ValueError(f"{len(self.categories)} categories and {len(self.runs)} masks")
        if not self.runs:
            return
        if self.categories.min() < 0:
            raise ValueError("a category below 0")
        # All masks at once, each shifted behind the previous one: a few NumPy calls, however many masks.
        size = self.height * self.width
        counts = [len(runs) for runs in self.runs]
        starts, lengths = np.concatenate(self.runs).astype(np.int64).T
        if starts.min() < 0 or lengths.min() < 1 or (starts + lengths).max() > size:
            raise ValueError("a run outside its photo")
        starts += np.repeat(np.arange(len(counts)), counts) * size
        if np.any(starts[1:] < starts[:-1] + lengths[:-1]):
            raise ValueError("runs out of order")


class ShardWriter:
    """Writes the records of one subset in order, `per_shard` per file; files are named once their number is known."""

    def __init__(self, folder: Path, subset: str, per_shard: int) -> None:
        self.folder = folder
        self.subset = subset
        self.per_shard = per_shard
        self.num_records = 0
        self._parts: list[Path] = []
        self._writer: Any = None

    def write(self, record: PhotoRecord) -> int:
        """Appends a record; returns its index over all shards of the subset."""
        from array_record.python.array_record_module import ArrayRecordWriter

        if self.num_records % self.per_shard == 0:
            self._finish_shard()
            self._parts.append(self.folder / f".{self.subset}-{len(self._parts):05d}.part")
            self._writer = ArrayRecordWriter(str(self._parts[-1]), _OPTIONS)
        self._writer.write(record.to_bytes())
        self.num_records += 1
        return self.num_records - 1

    def close(self) -> None:
        self._finish_shard()
        for number, part in enumerate(self._parts):
            part.rename(self.folder / f"{self.subset}-{number:05d}-of-{len(self._parts):05d}.arrayrecord")

    def _finish_shard(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class PhotoSource:
    """Random access to some photos of a subset; a Grain data source, small to send to worker processes."""

    def __init__(self, decoded: Path, subset: str, records: Sequence[int] | NDArray[np.integer]) -> None:
        """`records` are indices over the subset's shards, in the order of items 0, 1, ..."""
        from grain.sources import ArrayRecordDataSource

        self._records = np.asarray(records, np.int64)
        self._name = f"{decoded}/{subset}-*.arrayrecord"
        paths = shard_paths(decoded, subset) if len(self._records) else []
        with self._corruption_as_user_error():
            self._shards = ArrayRecordDataSource([str(path) for path in paths]) if paths else None
            there = len(self._shards) if self._shards is not None else 0
        if len(self._records) and self._records.max() >= there:
            raise UserError(f"{self._name}: expected record {self._records.max()}, found {there} records")

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> PhotoRecord:
        assert self._shards is not None
        with self._corruption_as_user_error():
            return PhotoRecord.from_bytes(self._shards[int(self._records[index])])

    @contextmanager
    def _corruption_as_user_error(self) -> Iterator[None]:
        """ArrayRecord checks every byte; a damaged shard becomes one line with the remedy."""
        try:
            yield
        except (RuntimeError, ValueError, OSError) as error:
            reason = (str(error).splitlines() or [""])[0][:200]
            raise UserError(f"{self._name}: damaged, run the stage decode again: {reason}") from None


def shard_paths(decoded: Path, subset: str) -> list[Path]:
    """The shards of a subset in order.

    Raises:
        UserError: there is none, or not all of them.
    """
    paths = sorted(decoded.glob(f"{subset}-*.arrayrecord"))
    if not paths:
        raise UserError(f"{decoded}: expected {subset}-*.arrayrecord of the stage decode, found none")
    if not paths[-1].stem.endswith(f"-{len(paths) - 1:05d}-of-{len(paths):05d}"):
        raise UserError(
            f"{decoded}: expected all of {subset}-*.arrayrecord, found {len(paths)} up to {paths[-1].name}"
        )
    return paths
