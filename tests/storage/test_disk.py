"""Disk space: which errors mean a full disk, and the one line that says so."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from fashionseg.storage.disk import explain, full_disk_errno, full_disk_names


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_failed_write_without_a_name_gets_one(number: int, tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised, full_disk_names(tmp_path):
        raise OSError(number, "write failed")
    assert raised.value.errno == number
    assert raised.value.filename == str(tmp_path)


@pytest.mark.parametrize(
    "error", [PermissionError(errno.EACCES, "no"), RuntimeError("shapes differ"), KeyError("a")]
)
def test_other_errors_are_no_full_disk(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as raised, full_disk_names(tmp_path):
        raise error
    assert raised.value is error
    assert full_disk_errno(error) is None


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "out/a"),
            "out/a: disk full (No space left on device)",
        ),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded", "out/.a.7.part"),
            "out: disk full (Disk quota exceeded)",
        ),
        (OSError(errno.EFBIG, "File too large"), "file too large (File too large)"),
        (RuntimeError("write failed (errno = 28, file = a)"), "disk full (No space left on device)"),
        (OSError(errno.EROFS, "Read-only file system", "out"), "out: Read-only file system"),
    ],
    ids=["full", "quota", "limit", "hdf5", "read-only"],
)
def test_each_error_of_storage_is_one_line(error: Exception, line: str) -> None:
    explained = explain(error)
    assert explained is not None
    assert explained.partition(";")[0] == line


def test_other_errors_are_not_explained() -> None:
    assert explain(RuntimeError("shapes differ")) is None
    assert explain(OSError(errno.EIO, "Input/output error")) is None
