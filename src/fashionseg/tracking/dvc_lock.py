"""dvc.lock: the hashes that DVC recorded for each stage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionseg.params import read_yaml

LOCK = Path("dvc.lock")


def locked_stages(folder: Path) -> dict[str, Any]:
    """Entries of the dvc.lock in `folder`, by stage.

    Raises:
        UserError: the file is missing or not YAML.
    """
    return read_yaml(folder / LOCK).get("stages", {})


def locked_hashes(stage: Mapping[str, Any]) -> dict[str, str]:
    """MD5 hash of each dependency and output of a stage, by path."""
    entries = [*stage.get("deps", []), *stage.get("outs", [])]
    return {entry["path"]: str(entry.get("md5", "")) for entry in entries}


def dvc_md5(path: Path) -> str:
    """DVC's hash of a file or folder, as recorded in dvc.lock."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = {file.relative_to(path).as_posix(): dvc_md5(file) for file in path.rglob("*") if file.is_file()}
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    return hashlib.md5(json.dumps(entries).encode()).hexdigest() + ".dir"
