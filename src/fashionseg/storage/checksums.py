"""Checksums of a folder's files, stored with them, so that a file cut short or damaged is found before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

CHECKSUMS_FILE = "checksums.json"


def hash_file(path: Path) -> str:
    """32 hexadecimal digits of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def write_checksums(folder: Path) -> None:
    """Writes the hash of every file in `folder` to `checksums.json` there."""
    hashes = {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.name != CHECKSUMS_FILE}
    (folder / CHECKSUMS_FILE).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")


def find_damage(folder: Path, names: Iterable[str]) -> str | None:
    """What is wrong with the first damaged file of `names` in `folder`; None if all are as they were written."""
    name = CHECKSUMS_FILE
    try:
        hashes = json.loads((folder / name).read_text(encoding="utf-8"))
        for name in names:
            if hash_file(folder / name) != hashes[name]:
                return f"{name} is not as it was written ({(folder / name).stat().st_size:,} bytes)"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:  # a bad block, a folder in the place of the file
        return f"{name} is not readable ({error.strerror})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{CHECKSUMS_FILE} is damaged"
    return None
