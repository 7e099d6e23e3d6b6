"""Where interrupted downloads wait, and clear words for a full disk."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashionseg.errors import UserError

RESERVE = 64 << 20  # bytes left free beside what is written


def state_folder(name: str) -> Path:
    """`.fashionseg/NAME` of the repository: outside the outputs, because DVC empties those before a stage runs."""
    folder = Path(os.environ.get("DVC_ROOT", ".")) / ".fashionseg" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def require_space(folder: Path, size: int, purpose: str) -> None:
    """Makes sure that `size` bytes fit on the disk of `folder`.

    Raises:
        UserError: they do not.
    """
    free = shutil.disk_usage(folder).free
    if free < size + RESERVE:
        raise UserError(f"disk full: {purpose} needs {megabytes(size)}, {folder} has {megabytes(free)} free")


@contextmanager
def full_disk_is_user_error(folder: Path) -> Iterator[None]:
    """Turns 'no space left' and 'quota exceeded' into a `UserError` that names `folder`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"disk full: nothing more fits into {folder}") from None
        raise


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
