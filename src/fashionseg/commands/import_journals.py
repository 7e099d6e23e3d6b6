"""`fashionseg import-journals`: sends all runs of this checkout to MLflow.

1. write a journal for each run restored from DVC's cache, as no stage wrote one;
2. send the records of each journal that MLflow lacks.
"""

from __future__ import annotations

import argparse
import sys

from fashionseg.console import say
from fashionseg.project import load_project
from fashionseg.tracking.address import public_uri, take_login, tracking_uri
from fashionseg.tracking.cached import log_cached_runs
from fashionseg.tracking.identity import journal_folder
from fashionseg.tracking.journal import stored_journals
from fashionseg.tracking.mirror import require_store, send

MAX_NAMES = 3  # of journals in a line


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--uri", help="tracking URI of MLflow (default: the one used in training)")


def run(arguments: argparse.Namespace) -> int:
    root, params = load_project()
    uri = take_login(arguments.uri or "") or tracking_uri(params.tracking.uri)
    require_store(uri)
    log_cached_runs(root)
    journals = stored_journals(journal_folder())
    sent = 0
    failures: dict[str, list[str]] = {}  # names of journals by the reason why they were not sent
    for journal in journals:
        with journal.exclusive() as is_locked:
            if not is_locked:
                say(f"{journal.folder.name}: skipped, a running stage is sending it")
            elif (failure := send(journal, uri)) is None:
                sent += 1
            else:
                failures.setdefault(failure, []).append(journal.folder.name)
    for failure, names in failures.items():
        shown = ", ".join([*names[:MAX_NAMES], *(["..."] if len(names) > MAX_NAMES else [])])
        print(
            f"error: MLflow: {failure}; not sent: {len(names)} of {len(journals)} journals ({shown})",
            file=sys.stderr,
        )
    say(f"MLflow: {public_uri(uri)} is up to date with {sent} of {len(journals)} journals")
    return 1 if failures else 0
