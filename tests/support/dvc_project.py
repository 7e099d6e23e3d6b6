"""A folder as a committed Git repository with DVC."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def commit_with_dvc(folder: Path) -> None:
    """Makes the folder a Git repository with DVC, and commits all files that Git does not ignore."""
    for words in (
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        ["git", "config", "user.name", "t"],
        ["git", "config", "user.email", "t@t"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "first"],
    ):
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
