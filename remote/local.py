"""Git, DVC and `fashionseg` on this machine, always with this Python."""

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
    """Runs `preset_command`, so that the checkout has the parameters of the job.

    Raises:
        UserError: no such preset, or a key or value that params.yaml does not allow.
    """
    if not preset and not changes:
        return
    done = _run(preset_command(preset, changes))
    if done.returncode != 0:
        raise UserError(
            done.stderr.strip().removeprefix("error: ") or "fashionseg preset: failed without a message"
        )
    print(done.stdout, end="", flush=True)


def cache_folder() -> Path:
    """The configured DVC cache of this checkout.

    Raises:
        UserError: not a DVC project.
    """
    done = _run([*DVC, "cache", "dir"])
    if done.returncode != 0:
        raise UserError(f"dvc cache dir: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def checkout_outputs(paths: Sequence[str]) -> None:
    """Links the outputs `paths` from the cache into the working tree.

    Raises:
        UserError: DVC would overwrite a file that is not in its cache.
    """
    if not paths:
        return
    done = _run([*DVC, "checkout", "--quiet", *paths])
    if done.returncode != 0:
        reason = " ".join((done.stderr or done.stdout).split())
        raise UserError(f"the results are in DVC's cache, but `dvc checkout` failed: {reason}")


def changed_outputs() -> str:
    """The changes that `dvc status` reports, one stage per line; empty if there are none.

    Stages that run every time, such as `source`, are never up to date for DVC and do not count.
    """
    done = _run([*DVC, "status", "--json"])
    if done.returncode != 0:
        return done.stderr.strip()
    found = {
        stage: [entry for entry in entries if entry != "always changed"]
        for stage, entries in json.loads(done.stdout).items()
    }
    return "\n".join(f"{stage}: {json.dumps(entries)}" for stage, entries in found.items() if entries)


def import_journals() -> None:
    """Sends records logged without a connection to MLflow; a failure is printed, not raised."""
    done = _run([*FASHIONSEG, "import-journals"])
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    print(lines[-1] if lines else "MLflow: journals imported", flush=True)


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True)
