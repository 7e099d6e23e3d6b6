"""`fashionseg audit`: the SBOM of the locked packages, then what is known against them.

1. write `.fashionseg/sbom.json` from requirements/*.lock, without network;
2. ask the index's service for known weaknesses of each package; exit status 1 if there are any, 2 if it did not
   answer about all of them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fashionseg.console import EXIT_FAULT, EXIT_USER_ERROR, say
from fashionseg.project import STATE_FOLDER, find_root

if TYPE_CHECKING:
    from tools.audit.weaknesses import Finding

SBOM = "sbom.json"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sbom-only", action="store_true", help="ask no service")


def run(arguments: argparse.Namespace) -> int:
    from tools.audit.lock_file import read_lock
    from tools.audit.sbom import write_sbom
    from tools.audit.weaknesses import ask_service

    root = find_root()
    paths = sorted((root / "requirements").glob("*.lock"))
    locks = {path.name: read_lock(path) for path in paths}
    sbom = root / STATE_FOLDER / SBOM
    say(f"{write_sbom(locks, sbom)} packages of {', '.join(locks)} -> {sbom}")
    return (
        0
        if arguments.sbom_only
        else max(_report(path, ask_service(path), len(locks[path.name])) for path in paths)
    )


def _report(path: Path, finding: Finding, num_packages: int) -> int:
    status = 0
    for weakness in finding.weaknesses:
        status = EXIT_FAULT
        say(f"{path.name}: {weakness}")
    if finding.failure is not None:
        status = EXIT_USER_ERROR
        print(f"error: {path.name}: no word about weaknesses: {finding.failure}", file=sys.stderr)
    elif finding.unknown:
        status = EXIT_USER_ERROR
        print(
            f"error: {path.name}: the service says nothing about {len(finding.unknown)} of {num_packages} packages, "
            f"first {finding.unknown[0]}",
            file=sys.stderr,
        )
    elif not status:
        say(f"{path.name}: no known weakness in {num_packages} packages")
    return status
