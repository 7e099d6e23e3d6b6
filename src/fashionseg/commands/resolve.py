"""`fashionseg resolve`: finish a merge of two branches that both ran the pipeline.

`dvc.lock` and the reports are written by the pipeline, so there is nothing in them to choose between: they follow from
the merged code and params.yaml. What must be merged by hand is everything else.

1. Refuse while any other file conflicts.
2. Take our side of the conflicting outputs, so that DVC can read them.
3. `dvc repro`: runs what is stale for the merged code and params; results of either branch come from DVC's cache.
4. Stage the outputs, ready to commit.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.project import find_root

WRITTEN = ("dvc.lock", "reports/")  # by the pipeline, and in Git
_OURS, _THEIRS = "2", "3"  # stages of Git's index


def configure(parser: argparse.ArgumentParser) -> None:
    del parser  # no arguments


def run(arguments: argparse.Namespace) -> int:
    del arguments
    root = find_root()
    conflicts = _conflicts(root)
    if by_hand := [path for path in conflicts if not path.startswith(WRITTEN)]:
        raise UserError(
            f"{', '.join(by_hand)}: resolve by hand and `git add` first; dvc.lock and reports/ follow from the rest"
        )
    for path, sides in conflicts.items():
        if _OURS in sides or _THEIRS in sides:
            _git(root, "checkout", "--ours" if _OURS in sides else "--theirs", "--", path)
        else:
            (root / path).unlink(missing_ok=True)  # deleted or moved on both sides
    say(f"{len(conflicts)} conflicting outputs: our side, then what follows from the merged code and params")
    status = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=root, check=False).returncode
    if status:
        raise UserError("`dvc repro` failed, see above; the same command resumes")
    _git(root, "add", "-A", "--", *(path for path in WRITTEN if (root / path).exists()))
    say("dvc.lock and reports/ belong to the merged params.yaml; `git commit` ends the merge")
    return 0


def _conflicts(root: Path) -> dict[str, set[str]]:
    """The sides of the index that each conflicting file has, by path relative to `root`."""
    found: dict[str, set[str]] = {}
    for line in _git(root, "ls-files", "--unmerged", "-z").split("\0"):
        if line:
            words, path = line.split("\t", 1)
            found.setdefault(path, set()).add(words.split()[2])
    return found


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
    except OSError:
        raise UserError("expected Git, found no program of that name") from None
    except subprocess.CalledProcessError as error:
        raise UserError(f"git {words[0]}: {' '.join(error.stderr.split())}") from None
    return done.stdout
