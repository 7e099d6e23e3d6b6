"""Python programs that tests start: this checkout comes first on their path, wherever they run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# The package, the development tools with remote/, and these helpers.
CHECKOUT_PATH = os.pathsep.join(str(REPOSITORY / name) for name in ("src", ".", "tests/support"))


def environment(**changes: str) -> dict[str, str]:
    """The environment of this process with the checkout on PYTHONPATH, and `changes`."""
    return os.environ | {"PYTHONPATH": CHECKOUT_PATH} | changes


def run_python(*words: str | Path, env: dict[str, str] | None = None, **options: Any) -> str:
    """Runs `python WORDS` to its end; returns its standard output.

    Args:
        words: a script and its arguments, `-m module` or `-c code`.
        env: changes to the environment.
        options: of `subprocess.run`.

    Raises:
        AssertionError: the exit status is not 0; the message is what the program printed.
    """
    ended = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(**(env or {})),
        **options,
    )
    assert ended.returncode == 0, f"exit status {ended.returncode}:\n{ended.stdout}{ended.stderr}"
    return ended.stdout
