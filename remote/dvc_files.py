"""Outputs of a pipeline and the cache objects that hold them, read from dvc.yaml, dvc.lock and DVC's cache."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GIGABYTE = 1e9
MODELS = "models/"


@dataclass(frozen=True)
class Output:
    """An output in dvc.lock. `md5` ends with `.dir` for a folder; `size` in bytes."""

    stage: str
    path: str
    md5: str
    size: int
    is_cached: bool


def stage_names(pipeline: Mapping[str, Any]) -> list[str]:
    """Names of the stages in a parsed dvc.yaml."""
    return list(pipeline.get("stages") or {})


def outputs(pipeline: Mapping[str, Any]) -> dict[str, bool]:
    """Path of each output, metric and plot in a parsed dvc.yaml, and whether it is cached."""
    found: dict[str, bool] = {}
    for stage in (pipeline.get("stages") or {}).values():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get(kind) or []:
                if isinstance(entry, Mapping):
                    [(path, options)] = entry.items()
                    found[path] = (options or {}).get("cache", True)
                else:
                    found[entry] = True
    return found


def locked_outputs(lock: Mapping[str, Any], pipeline: Mapping[str, Any]) -> list[Output]:
    """Outputs in a parsed dvc.lock, in file order."""
    cached = outputs(pipeline)
    return [
        Output(name, out["path"], out["md5"], out.get("size", 0), cached.get(out["path"], True))
        for name, stage in (lock.get("stages") or {}).items()
        for out in stage.get("outs") or []
        if "md5" in out
    ]


def choose(found: Iterable[Output], max_gb: float, *, models: bool) -> tuple[list[Output], list[Output]]:
    """Outputs to fetch and outputs to leave on the host: models if `models`, other cached outputs up to `max_gb`."""
    wanted: list[Output] = []
    unwanted: list[Output] = []
    for output in found:
        if output.is_cached and output.path.startswith(MODELS):
            is_wanted = models
        else:
            is_wanted = not output.is_cached or output.size <= max_gb * GIGABYTE
        (wanted if is_wanted else unwanted).append(output)
    return wanted, unwanted


def object_path(md5: str) -> str:
    """Path of an object below the cache folder."""
    return f"files/md5/{md5[:2]}/{md5[2:]}"


def folder_objects(cache: Path, md5: str) -> list[str]:
    """Hashes of the files in the folder object `md5` (ends with `.dir`); empty if `cache` lacks the object."""
    try:
        listing = json.loads((cache / object_path(md5)).read_text())
    except FileNotFoundError:
        return []
    return sorted({entry["md5"] for entry in listing})


def needed_objects(cache: Path, found: Iterable[Output]) -> list[str]:
    """Cache paths of the objects of all cached outputs in `found`, as far as `cache` has the folder listings."""
    hashes: set[str] = set()
    for output in found:
        if output.is_cached:
            hashes.add(output.md5)
            if output.md5.endswith(".dir"):
                hashes.update(folder_objects(cache, output.md5))
    return [object_path(md5) for md5 in sorted(hashes)]
