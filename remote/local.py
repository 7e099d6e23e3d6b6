"""What the tasks run on this machine: Git, DVC and the project's own command, always of this Python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fashionseg.errors import UserError

DVC = (sys.executable, "-m", "dvc")
FASHIONSEG = (sys.executable, "-m", "fashionseg.cli")


def preset_command(preset: str | None, changes: Sequence[str]) -> list[str]:
    """The command that merges a preset and `key=value` changes into params.yaml."""
    return [*FASHIONSEG, "preset", *([preset] if preset else []), *changes]


def apply_preset(preset: str | None, changes: Sequence[str]) -> None:
    """Runs it, so that the checkout holds what the host will run with.

    Raises:
        UserError: no such preset, or a key or value that params.yaml does not allow.
    """
    if not preset and not changes:
        return
    done = subprocess.run(preset_command(preset, changes), capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(done.stderr.strip().removeprefix("error: ") or "fashionseg preset failed")
    print(done.stdout, end="", flush=True)


def commit() -> str:
    """The commit checked out, or `nogit`."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "nogit"


def cache_folder() -> Path:
    """DVC's cache of this checkout, wherever it is configured to be.

    Raises:
        UserError: not a DVC project.
    """
    done = subprocess.run([*DVC, "cache", "dir"], capture_output=True, text=True)
    if done.returncode != 0:
        raise UserError(f"dvc cache dir: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def checkout_outputs(paths: Sequence[str]) -> None:
    """Puts the outputs `paths` into the working tree, out of the cache.

    Raises:
        UserError: DVC would have to overwrite something that its cache does not have.
    """
    if not paths:
        return
    done = subprocess.run([*DVC, "checkout", "--quiet", *paths], capture_output=True, text=True)
    if done.returncode != 0:
        reason = " ".join((done.stderr or done.stdout).split())
        raise UserError(f"the results are here, in DVC's cache, but `dvc checkout` says: {reason}")


def changed_outputs() -> str:
    """Outputs that `dvc status` reports as missing or stale; empty when it is clean.

    Stages that run every time, such as `source`, are never up to date for DVC and do not count.
    """
    done = subprocess.run([*DVC, "status", "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip()
    found = {
        stage: [entry for entry in entries if entry != "always changed"]
        for stage, entries in json.loads(done.stdout).items()
    }
    return "\n".join(f"{stage}: {json.dumps(entries)}" for stage, entries in found.items() if entries)


def import_journals() -> None:
    """Brings MLflow up to date with what was logged while nobody was connected; a failure is told, not raised."""
    done = subprocess.run([*FASHIONSEG, "import-journals"], capture_output=True, text=True)
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    print(lines[-1] if lines else "MLflow: journals imported", flush=True)
