"""Atomic outputs, complete or absent: written under a temporary name, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fashionseg.storage.disk import full_disk_names


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path next to `path`; when the block succeeds, that file replaces `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with full_disk_names(path):
            yield temporary
            flush(temporary)
            temporary.replace(path)
            flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yields a temporary folder next to `path`; when the block succeeds, it replaces `path` as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, before = (path.with_name(f".{path.name}.{kind}{os.getpid()}.part") for kind in ("", "before."))
    for left in (temporary, before):
        shutil.rmtree(left, ignore_errors=True)
    _delete_left_by_killed(path)
    temporary.mkdir()
    try:
        with full_disk_names(path):
            yield temporary
            for inside in (temporary, *temporary.rglob("*")):
                if not inside.is_symlink():
                    flush(inside)
            _replace(path, temporary, before)
            flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(path: Path, by: Path, before: Path) -> None:
    """Two renames, and the old folder is deleted under another name: a kill never leaves half of it at `path`."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        path.replace(before)
    try:
        by.replace(path)
    except OSError:
        if before.exists():
            before.replace(path)
        raise
    shutil.rmtree(before, ignore_errors=True)


def _delete_left_by_killed(path: Path) -> None:
    """Temporary folders for `path` of processes that were killed while they wrote (tests/test_kill.py)."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        pid = left.name.split(".")[-2]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)


def flush(path: Path) -> None:
    """Waits until a file's bytes, or a folder's names, are on the disk: names must not outlive bytes at a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot do it for folders.
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
