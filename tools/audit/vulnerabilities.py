"""Known vulnerabilities of the packages of a lock, looked up by pip-audit; nothing is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_OPTIONS = ("--require-hashes", "--disable-pip", "--progress-spinner=off", "--format=json")


@dataclass(frozen=True)
class Finding:
    """The service's answer on one lock.

    Attributes:
        vulnerabilities: one line each.
        unknown: packages that the service does not know, which does not mean that they are safe.
        failure: why there is no answer at all, or None.
    """

    vulnerabilities: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    failure: str | None = None


def find_vulnerabilities(lock: Path) -> Finding:
    """Looks up every package of a lock."""
    command = [sys.executable, "-m", "pip_audit", *_OPTIONS, "-r", str(lock)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return parse_answer(result.stdout, result.stderr)


def parse_answer(output: str, errors: str) -> Finding:
    """The finding in pip-audit's output."""
    try:
        dependencies = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = [line.strip() for line in errors.splitlines() if line.strip()] or ["no answer"]
        return Finding(failure=lines[-1][:300])
    return Finding(
        tuple(
            f"{dependency['name']} {dependency['version']}: {found['id']}, fixed in "
            f"{', '.join(found['fix_versions']) or 'no version yet'}"
            for dependency in dependencies
            for found in dependency.get("vulns", ())
        ),
        tuple(dependency["name"] for dependency in dependencies if "skip_reason" in dependency),
    )
