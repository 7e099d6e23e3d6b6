"""Disk space: checked before writing, and one account of a disk that is full all the same.

Full means ENOSPC, over quota or at the limit of a file's size. A failed write stays an `OSError`; `explain` turns it
into the line that `console.exit_code` prints.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fashionseg.errors import UserError

RESERVE = 64 << 20  # bytes that stay free

_FULL = {errno.ENOSPC: "disk full", errno.EDQUOT: "disk full", errno.EFBIG: "file too large"}
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
# Of an HDF5 file of weights: float32 values, then names, groups and headers.
_BYTES_PER_VALUE = 4
_BYTES_PER_VARIABLE = 8 << 10
_BYTES_PER_FILE = 64 << 10


def require_space(folder: Path, size: int, purpose: str) -> None:
    """Checks that `size` bytes fit on the disk of `folder`.

    Raises:
        UserError: too little is free.
    """
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE:
        raise UserError(
            f"disk full: {purpose} needs {_megabytes(size)}, {folder} has {_megabytes(free)} free"
        )


def require_room(folder: Path, variables: Iterable[Any]) -> None:
    """Allocates, then frees, the bytes of an HDF5 file of all `variables`.

    HDF5 does not survive a failed write: the process crashes at exit, after the error was reported. Allocating also
    meets quotas and limits, which `require_space` does not see.

    Raises:
        OSError: the disk is full, or files may not grow so far.
    """
    values = [_BYTES_PER_VALUE * math.prod(variable.shape) + _BYTES_PER_VARIABLE for variable in variables]
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, sum(values) + _BYTES_PER_FILE)


@contextmanager
def full_disk_names(path: Path) -> Iterator[None]:
    """Adds `path` to the error of a full disk: Python's own error for a failed write names no file.

    Raises:
        OSError: ENOSPC, EDQUOT or EFBIG with `path` as its file name.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = full_disk_errno(error)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def full_disk_errno(error: BaseException) -> int | None:
    """ENOSPC, EDQUOT or EFBIG, also from the text of HDF5's and ArrayRecord's RuntimeError; else None."""
    for number in _FULL:
        if getattr(error, "errno", None) == number:
            return number
        if isinstance(error, OSError | RuntimeError) and (
            os.strerror(number) in str(error) or f"errno = {number}," in str(error)
        ):
            return number
    return None


def explain(error: BaseException) -> str | None:
    """One line for a full disk or a path that cannot be written; None for any other error.

    The system's own words stay in it: `remote.outcome` looks for them.
    """
    number = full_disk_errno(error)
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    path = Path(os.fsdecode(name)) if isinstance(name, str | bytes) else None
    if path is not None and path.suffix == ".part":  # a temporary name
        path = path.parent
    where = "" if path is None else f"{path}: "
    if number is not None:
        what = f"{_FULL[number]} ({os.strerror(number)})"
        return f"{where}{what}; earlier outputs are unchanged; free some space and run again"
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        return f"{where}{error.strerror}"
    return None


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
