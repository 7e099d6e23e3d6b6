"""Run identity: all stages of one pipeline run derive the same key, without communicating.

In a DVC experiment the key is made of the experiment's name, its baseline commit and its parameters; in a plain
`dvc repro`, of the commit and the parameters. So an interrupted and resumed run stays one run.
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

from fashionseg.errors import UserError
from fashionseg.params import Params, flatten, to_dict
from fashionseg.project import state_folder
from fashionseg.tracking.dvc_lock import LOCK, locked_hashes, locked_stages


@dataclass(frozen=True)
class RunIdentity:
    """`key`: safe as a file name, the same in every stage of a run. `name`: shown to users."""

    key: str
    name: str
    tags: dict[str, str]


def journal_folder() -> Path:
    return state_folder("journal")


def tracked_params(params: Params) -> dict[str, Any]:
    """Parameters by dotted name, without `tracking`: the address of MLflow does not change the experiment."""
    values = to_dict(params)
    del values["tracking"]
    return flatten(values)


def identify(params: dict[str, Any], experiment: str = "", commit: str = "") -> RunIdentity:
    """The run that a stage with `params` (from `tracked_params`) in the current folder belongs to.

    Args:
        experiment: name in `dvc exp show`; default: DVC's environment variable.
        commit: baseline of the experiment; default: the commit checked out.
    """
    params_hash = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:6]
    commit = commit or git_commit()
    experiment = experiment or os.environ.get("DVC_EXP_NAME", "")
    version = f"{commit[:7]}-{params_hash}"
    tags = {"git.commit": commit, "params.hash": params_hash, "source": str(params["download.source"])}
    if experiment:
        tags["DVC_EXP_NAME"] = experiment
    key = f"{experiment}-{version}" if experiment else version
    return RunIdentity(re.sub(r"[^\w.-]", "_", key), experiment or version, tags)


def data_tags(folder: Path = Path()) -> dict[str, str]:
    """Tags that pin the data, from the dvc.lock in `folder`: hashes of the decoded data and of dvc.lock."""
    try:
        stages = locked_stages(folder)
    except UserError:
        return {}
    tags = {"dvc.lock.sha256": hashlib.sha256((folder / LOCK).read_bytes()).hexdigest()}
    if decoded := locked_hashes(stages.get("decode", {})).get("data/decoded"):
        tags["data.md5"] = decoded
    return tags


def git_commit() -> str:
    """Full hash of the commit checked out, or `nogit`.

    A workspace on a GPU host has no Git; `fab` passes the commit in FASHIONSEG_GIT_COMMIT.
    """
    if given := os.environ.get("DVC_EXP_BASELINE_REV") or os.environ.get("FASHIONSEG_GIT_COMMIT"):
        return given
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "nogit"
    return found.stdout.strip()
