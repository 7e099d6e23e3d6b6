"""Which run a stage belongs to: all stages of one pipeline run find the same key, without talking to each other.

In a DVC experiment the key is the experiment's name, its baseline commit and its parameters; in a plain `dvc repro`
the commit and the parameters. So a run that was interrupted and continued stays one run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from fashionseg.errors import UserError
from fashionseg.params import Params, flatten, read_yaml
from fashionseg.project import state_folder


@dataclass(frozen=True)
class RunIdentity:
    """`key`: file-name safe, the same in every stage of a run. `name`: what people see."""

    key: str
    name: str
    tags: dict[str, str]


def journal_folder() -> Path:
    return state_folder("journal")


def tracked_params(params: Params) -> dict[str, Any]:
    """Dotted names to values, without `tracking`: where one logs does not make another experiment."""
    values = TypeAdapter(Params).dump_python(params, mode="json")
    del values["tracking"]
    return flatten(values)


def identify(params: dict[str, Any], experiment: str = "", commit: str = "") -> RunIdentity:
    """The run of a stage that was started with `params` (of `tracked_params`) in the current folder.

    Where DVC does not run it, `experiment` is its name in `dvc exp show` and `commit` the one it started from.
    """
    params_hash = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:6]
    commit = commit or _git_commit()
    experiment = experiment or os.environ.get("DVC_EXP_NAME", "")
    name = experiment or f"{commit[:7]}-{params_hash}"
    key = f"{experiment}-{commit[:7]}-{params_hash}" if experiment else name
    tags = {
        "git.commit": commit,
        "params.hash": params_hash,
        "source": str(params["download.source"]),
        "DVC_EXP_NAME": experiment,
    }
    return RunIdentity(
        re.sub(r"[^\w.-]", "_", key), name, {key: value for key, value in tags.items() if value}
    )


def data_tags(folder: Path = Path()) -> dict[str, str]:
    """Hashes from dvc.lock in `folder` that pin the data: the decoded data's and the whole file's; none without it."""
    lock = folder / "dvc.lock"
    try:
        stages = read_yaml(lock).get("stages", {})
    except UserError:
        return {}
    tags = {"dvc.lock.sha256": hashlib.sha256(lock.read_bytes()).hexdigest()}
    for out in stages.get("decode", {}).get("outs", []):
        tags["data.md5"] = str(out.get("md5", ""))
    return tags


def _git_commit() -> str:
    """Full hash, or `nogit`. The GPU host has no Git there: its tasks pass the commit in FASHIONSEG_GIT_COMMIT."""
    given = os.environ.get("DVC_EXP_BASELINE_REV") or os.environ.get("FASHIONSEG_GIT_COMMIT")
    if given:
        return given
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "nogit"
    return found.stdout.strip()
