"""Exclusive file locks between processes."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

POLL_SECONDS = 0.2


@contextmanager
def file_lock(path: Path, patience_seconds: float = 0.0) -> Iterator[bool]:
    """Holds the lock on `path` while the block runs; the kernel releases it when the process dies.

    Yields False where another process still holds the lock after `patience_seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience_seconds
    with path.open("w") as file:
        while not (is_locked := _try_lock(file)) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        yield is_locked


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
