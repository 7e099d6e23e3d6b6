"""`python -m tools audit`: the SBOM of the locked packages and their known vulnerabilities.

1. Write `.fashionseg/sbom.json` from requirements/*.lock, without network.
2. Look up known vulnerabilities of each package: exit status 1 if there are any, 2 if the service did not answer for
   all packages.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fashionseg.console import EXIT_FAULT, EXIT_USER_ERROR, say
from fashionseg.project import find_root, state_folder

if TYPE_CHECKING:
    from tools.audit.vulnerabilities import Finding

SBOM = "sbom.json"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sbom-only", action="store_true", help="look up no vulnerabilities")


def run(arguments: argparse.Namespace) -> int:
    from tools.audit.sbom import read_lock, write_sbom
    from tools.audit.vulnerabilities import find_vulnerabilities

    root = find_root()
    locks = {path: read_lock(path) for path in sorted((root / "requirements").glob("*.lock"))}
    sbom = state_folder(SBOM)
    count = write_sbom(locks.values(), sbom)
    say(f"{count} packages of {', '.join(path.name for path in locks)} -> {sbom}")
    if arguments.sbom_only:
        return 0
    return max(_report(path, find_vulnerabilities(path), len(packages)) for path, packages in locks.items())


def _report(path: Path, finding: Finding, num_packages: int) -> int:
    status = 0
    for line in finding.vulnerabilities:
        status = EXIT_FAULT
        say(f"{path.name}: {line}")
    if finding.failure is not None:
        status = EXIT_USER_ERROR
        print(f"error: {path.name}: vulnerabilities not looked up: {finding.failure}", file=sys.stderr)
    elif finding.unknown:
        status = EXIT_USER_ERROR
        print(
            f"error: {path.name}: the service does not know {len(finding.unknown)} of {num_packages} packages, "
            f"first {finding.unknown[0]}",
            file=sys.stderr,
        )
    elif not status:
        say(f"{path.name}: no known vulnerability in {num_packages} packages")
    return status
