"""Unpacking of a zip file from the network: nothing is written outside the folder, every size and CRC is checked.

`shutil.unpack_archive` and `ZipFile.extractall` rewrite bad names silently, follow no limit of space and overwrite
files, and no locked package is stricter, so the checks are our own.
"""

from __future__ import annotations

import errno
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from fashionseg.console import track
from fashionseg.errors import UserError
from fashionseg.storage.disk import full_disk_errno, full_disk_names, require_space

COPY_BYTES = 1 << 20


def unpack(archive: Path, folder: Path) -> int:
    """Unpacks `archive` into the existing `folder`; returns the number of files.

    All names are checked before the first byte is written; sizes and CRCs while writing.

    Raises:
        UserError: not a complete zip file, a name that leads out of `folder`, a link or another special file, a name
            twice, an encrypted file, a wrong size or CRC, or not enough space.
        OSError: the disk is full.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if not info.is_dir()]
            seen: set[str] = set()
            for info in members:
                if fault := _fault(info) or ("the name occurs twice" if info.filename in seen else None):
                    raise UserError(f"{archive}: refused to unpack {info.orig_filename!a}: {fault}")
                seen.add(info.filename)
            require_space(folder, sum(info.file_size for info in members), f"unpacking {archive.name}")
            for info in track(members, f"unpacking {archive.name}"):
                _extract(opened, info, folder)
    except (UserError, MemoryError):
        raise
    except Exception as error:  # zipfile and its decompressors share no exception for damaged files
        if full_disk_errno(error) is not None:
            raise
        # Damage is an OSError too: EINVAL for a position before the first byte, and without a number from bzip2.
        if isinstance(error, OSError) and error.errno not in (errno.EINVAL, None):
            raise UserError(f"{archive}: cannot be unpacked into {folder}: {error.strerror}") from None
        reason = ascii(str(error))[1:-1][:200] or type(error).__name__
        raise UserError(f"{archive}: not a complete zip file: {reason}; delete it and run again") from None
    return len(members)


def _fault(info: zipfile.ZipInfo) -> str | None:
    """Why a member must not be written, or None."""
    # The name as stored: ZipInfo cuts `filename` at a NUL byte.
    name = info.orig_filename
    path = PurePosixPath(name)
    file_type = stat.S_IFMT(info.external_attr >> 16)
    if not path.parts or "\0" in name or "\\" in name or ":" in path.parts[0]:
        return "a strange name"
    if path.is_absolute():
        return "an absolute path"
    if ".." in path.parts:
        return "it leads out of the folder"
    if file_type not in (0, stat.S_IFREG):
        return "a link or special file"
    if info.flag_bits & 0x1:
        return "it is encrypted"
    return None


def _extract(opened: zipfile.ZipFile, info: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / info.filename
    with full_disk_names(folder):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Reading to the end checks the CRC; "x" never follows an existing link.
            with opened.open(info) as source, target.open("xb") as output:
                shutil.copyfileobj(source, output, COPY_BYTES)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"{opened.filename}: {info.filename!a} collides with another file") from None
        except (RuntimeError, NotImplementedError) as error:
            raise UserError(f"{opened.filename}: cannot unpack {info.filename!a}: {error}") from None
    if target.stat().st_size != info.file_size:
        raise zipfile.BadZipFile(f"{info.filename}: expected {info.file_size} bytes")
