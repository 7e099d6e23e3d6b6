"""`python -m tools dvc-deps [--check]`: the code dependencies of dvc.yaml, written from the imports of the stages."""

from __future__ import annotations

import argparse
import difflib

from fashionseg.console import EXIT_FAULT, say
from fashionseg.project import find_root
from fashionseg.storage.atomic import atomic_write
from tools.dvc_deps import PIPELINE, SOURCE, ImportGraph, rewrite


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit status 1 where dvc.yaml is outdated"
    )


def run(arguments: argparse.Namespace) -> int:
    root = find_root()
    path = root / PIPELINE
    before = path.read_text(encoding="utf-8")
    after = rewrite(before, ImportGraph(root / SOURCE))
    if before == after:
        say(f"{PIPELINE}: code dependencies are up to date")
        return 0
    changes = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    say("\n".join(line for line in changes if not line.startswith(("---", "+++"))))
    if arguments.check:
        say(f"{PIPELINE}: outdated code dependencies; run `python -m tools dvc-deps`")
        return EXIT_FAULT
    with atomic_write(path) as temporary:
        temporary.write_text(after, encoding="utf-8")
    say(f"{PIPELINE}: code dependencies rewritten")
    return 0
