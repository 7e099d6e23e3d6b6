"""Fingerprints of the inputs of a result, and the folder for the state of an unfinished training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashionseg.errors import UserError
from fashionseg.project import state_folder
from fashionseg.storage.checksums import hash_file

PACKAGE = Path(__file__).parents[1]


def fingerprint(params: dict[str, Any], inputs: Sequence[Path], code: Sequence[str] = ()) -> str:
    """32 hexadecimal digits that change with any value of `params`, byte of `inputs` or line of `code`.

    Args:
        params: JSON-able values; the order of keys does not count.
        inputs: files, or folders with everything below them. Where they lie and when they were written does not
            count; names inside a folder do.
        code: modules or sub-packages of fashionseg, such as `"model"` or `"params.py"`.

    Raises:
        UserError: an input is missing.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps(params, sort_keys=True).encode())
    sources = [PACKAGE / name for name in code]
    for position, root in enumerate([*inputs, *sources]):
        for path in _files(root, "*.py" if position >= len(inputs) else "*"):
            name = path.relative_to(root).as_posix() if path != root else ""
            # Length and hash, not the bytes alone: else "a" + "bc" and "ab" + "c" would be one.
            digest.update(f"\n{position} {name} {path.stat().st_size} {hash_file(path)}".encode())
    return digest.hexdigest()


def resume_folder(stage: str, key: str) -> Path:
    """Folder of the state from which `stage` resumes after a kill; `key` is a `fingerprint`, so that a changed
    parameter, input or line of code never meets an old state.

    It lies in the real checkout, outside of DVC's outputs, which DVC deletes before it runs a stage again.
    """
    return state_folder("resume") / f"{stage}-{key}"


def _files(root: Path, pattern: str) -> list[Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise UserError(f"{root}: no such file or folder")
    return sorted(path for path in root.rglob(pattern) if path.is_file())
