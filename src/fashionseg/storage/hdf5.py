"""Checks of an HDF5 weight file before it is used: arrays of numbers only, all stored in the file itself.

HDF5 can hold much more than weights: a dataset of a few bytes may claim terabytes, lie in another file or be made of
objects, and a group may be a link to another file. A weight file has none of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from fashionseg.errors import UserError

# A compressed file may hold more numbers than bytes; weights shrink to nine tenths, zeros to nearly nothing.
_MAX_EXPANSION = 16
_SPARE_BYTES = 16 * 2**20
_MAX_OBJECTS = 100_000


@contextmanager
def open_checked(path: Path) -> Iterator[h5py.File]:
    """The checked file, open for reading; errors of h5py while it is read become one line.

    Raises:
        UserError: missing, not a complete HDF5 file, or one that holds more than numbers.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            _check(path, file)
            yield file
    except UserError:
        raise
    except Exception as error:  # h5py raises almost anything on damaged files
        reason = " ".join(str(error).strip("'\"").split()) or type(error).__name__
        raise UserError(f"{path}: not a whole HDF5 file: {reason[:300]}") from None


def _check(path: Path, file: h5py.File) -> None:
    left = path.stat().st_size * _MAX_EXPANSION + _SPARE_BYTES
    groups: list[h5py.Group] = [file]
    seen = {h5py.h5o.get_info(file.id).addr}
    count = 0
    while groups:
        group = groups.pop()
        for name in group:
            place = f"{group.name}/{name}".replace("//", "/")
            count += 1
            if count > _MAX_OBJECTS:
                raise UserError(f"{path}: expected at most {_MAX_OBJECTS} arrays and groups, found more")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise UserError(f"{path}: {place!r}: expected an array or a group, got a link")
            item = group[name]
            if isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:
                    raise UserError(f"{path}: {place!r}: expected each group once, got one twice")
                seen.add(address)
                groups.append(item)
                continue
            left -= _bytes_of(path, place, item)
            if left < 0:
                raise UserError(f"{path}: {place!r}: claims far more numbers than the file has bytes")


def _bytes_of(path: Path, place: str, item: object) -> int:
    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiub" or item.shape is None:
        kind = item.dtype if isinstance(item, h5py.Dataset) else type(item).__name__
        raise UserError(f"{path}: {place!r}: expected an array of numbers, got {kind}")
    if item.external or item.is_virtual:
        raise UserError(f"{path}: {place!r}: expected an array in this file, got one in another file")
    return int(item.size) * item.dtype.itemsize
