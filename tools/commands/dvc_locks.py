"""Removes a lock file of DVC that a `kill -9` left half written; `make repro` calls it before `dvc repro`.

DVC notes in `.dvc/tmp/rwlock` what its processes read and write. It rewrites that file in place, so a kill at the wrong
moment leaves no JSON in it, and DVC then refuses every command ("RWLock-file ... corrupted").
"""

from __future__ import annotations

import argparse
import fcntl
import json
from pathlib import Path

from fashionseg.console import say

FOLDER = Path(".dvc/tmp")


def configure(parser: argparse.ArgumentParser) -> None:
    del parser


def run(arguments: argparse.Namespace) -> None:
    if remove_damaged_lock(FOLDER):
        say(f"{FOLDER / 'rwlock'}: half written by a process that was killed; removed")


def remove_damaged_lock(folder: Path) -> bool:
    """Whether there was such a file; one that a running DVC is writing is left alone.

    Args:
        folder: `.dvc/tmp` of a checkout.
    """
    path = folder / "rwlock"
    try:
        with (folder / "rwlock.lock").open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)  # what DVC holds while it writes
            json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        path.unlink(missing_ok=True)
        return True
    except OSError:  # no such file, or a running DVC holds the guard
        pass
    return False
