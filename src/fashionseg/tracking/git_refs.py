"""DVC experiments and files at a revision, in Git."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

from fashionseg.errors import UserError

STASH = "refs/exps/stash"  # of DVC: the experiments that `dvc exp run` is about to start


class Experiment(NamedTuple):
    """A DVC experiment; `baseline`: the commit it was started from, `commit`: the commit with its results."""

    name: str
    baseline: str
    commit: str


def list_experiments(root: Path) -> list[Experiment]:
    """All DVC experiments, from Git's references; none without Git."""
    # refs/exps/AB/CDEF.../NAME: baseline commit ABCDEF...
    found = _git(root, "for-each-ref", "--format=%(refname:lstrip=2)/%(objectname)", "refs/exps/??/*/*")
    parts = [line.split("/") for line in (found or b"").decode().splitlines()]
    return [Experiment(name, start + rest, commit) for start, rest, name, commit in parts]


def commit_of(root: Path, revision: str) -> str | None:
    """Full hash of the commit that a Git revision names; None if it names none."""
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return found.decode().strip() if found else None


def require_commit(root: Path) -> None:
    """Checks that DVC can run experiments here: each hangs on a commit.

    Raises:
        UserError: there is no commit, or DVC was set to work without Git.
    """
    if commit_of(root, "HEAD") is None:
        raise UserError(
            f"{root}: an experiment hangs on a commit, and there is none; "
            "`git init && git add -A && git commit -m first` makes it"
        )
    config = root / ".dvc/config.local"
    if config.is_file() and "no_scm = true" in config.read_text(encoding="utf-8"):
        raise UserError(
            f"{config}: DVC is set to work without Git, as by `make repro` before there was a repository; "
            "`dvc config --local --unset core.no_scm` undoes it"
        )


def file_at(root: Path, commit: str, path: Path) -> bytes | None:
    """The file `path`, relative to `root`, in a commit; None if it is not in Git there."""
    return _git(root, "show", f"{commit}:./{path.as_posix()}")


def has_same_files(root: Path, commit: str, *paths: str) -> bool:
    """Whether the tracked files below `paths` in the folder `root` are those of the commit."""
    return _git(root, "diff", "--quiet", commit, "--", *paths) is not None


def drop_unstarted(root: Path, name: str) -> None:
    """Drops the experiment `name` from DVC's stash, if it was ended there.

    DVC stashes an experiment before it starts it. One that is ended between the two stays in the stash, and the next
    `dvc exp run`, whatever it was asked for, would run it first.
    """
    messages = (_git(root, "reflog", "show", "--format=%gs", STASH) or b"").decode().splitlines()
    # "commit: dvc-exp:HEAD:BASELINE:NAME" and perhaps ":BRANCH"
    words = [message.split(":") for message in messages]
    indices = [
        index for index, parts in enumerate(words) if parts[1:2] == [" dvc-exp"] and parts[4:5] == [name]
    ]
    for index in reversed(indices):  # dropping one moves those after it
        _git(root, "reflog", "delete", "--rewrite", "--updateref", f"{STASH}@{{{index}}}")
    if indices and len(indices) == len(messages):
        _git(root, "update-ref", "-d", STASH)


def _git(root: Path, *words: str) -> bytes | None:
    """Standard output; None if Git fails or is not installed."""
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
