"""Known weaknesses of the packages of a lock, asked of the index's service by pip-audit; nothing is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_COMMAND = (
    "-m",
    "pip_audit",
    "--require-hashes",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "--format",
    "json",
)


@dataclass(frozen=True)
class Finding:
    """What the service said of one lock.

    Attributes:
        weaknesses: one line each.
        unknown: packages of which it said nothing, which is no sign of health.
        failure: why it said nothing at all, or None.
    """

    weaknesses: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    failure: str | None = None


def ask_service(lock: Path) -> Finding:
    """Asks about every package of a lock."""
    result = subprocess.run(
        [sys.executable, *_COMMAND, "-r", str(lock)], capture_output=True, text=True, check=False
    )
    return read_answer(result.stdout, result.stderr)


def read_answer(output: str, errors: str) -> Finding:
    """What pip-audit printed."""
    try:
        dependencies = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = [line.strip() for line in errors.splitlines() if line.strip()] or ["no answer"]
        return Finding(failure=lines[-1][:300])
    return Finding(
        tuple(
            f"{dependency['name']} {dependency['version']}: {weakness['id']}, mended in "
            f"{', '.join(weakness['fix_versions']) or 'no version yet'}"
            for dependency in dependencies
            for weakness in dependency.get("vulns", ())
        ),
        tuple(dependency["name"] for dependency in dependencies if "skip_reason" in dependency),
    )
