"""Room on the disk for a weight file, made sure of before HDF5 writes a byte.

HDF5 does not get over a write that fails: the process crashes when it ends, after the error was told.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_BYTES_PER_VALUE = 4
_BYTES_PER_VARIABLE = 8 << 10  # names, groups and headers around it
_BYTES_PER_FILE = 64 << 10


def require_room(folder: Path, variables: Iterable[Any]) -> None:
    """Takes the room that a file of all `variables` needs, and gives it back.

    Raises:
        OSError: the disk is full, or files may not grow so far.
    """
    values = [_BYTES_PER_VALUE * math.prod(variable.shape) + _BYTES_PER_VARIABLE for variable in variables]
    with tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, sum(values) + _BYTES_PER_FILE)
