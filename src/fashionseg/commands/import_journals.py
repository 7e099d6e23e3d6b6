"""`fashionseg import-journals`: brings MLflow up to date with all runs of this checkout.

1. write a journal for each run that DVC took whole from its cache, so that no stage wrote one;
2. send what MLflow lacks of each journal.
"""

from __future__ import annotations

import argparse
import sys

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.project import find_root
from fashionseg.tracking.address import is_listening, public_uri, take_login, tracking_uri
from fashionseg.tracking.cached import log_cached_runs
from fashionseg.tracking.identity import journal_folder
from fashionseg.tracking.journal import stored_journals
from fashionseg.tracking.mirror import send


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--uri", help="MLflow's tracking URI (default: as while training)")


def run(arguments: argparse.Namespace) -> int:
    root = find_root()
    uri = take_login(arguments.uri or "") or tracking_uri(load_params(root / PARAMS_FILE).tracking.uri)
    if not is_listening(uri):
        raise UserError(f"MLflow: expected a server at {public_uri(uri)}, but nothing listens there")
    log_cached_runs(root)
    journals = stored_journals(journal_folder())
    sent = faults = 0
    for journal in journals:
        with journal.exclusive() as is_ours:
            if not is_ours:
                say(f"{journal.folder.name}: left alone, a stage is sending it just now")
            elif send(journal, uri):
                sent += 1
            else:
                faults += 1
                print(f"error: {journal.folder.name}: not sent, see above", file=sys.stderr)
    say(f"MLflow: {public_uri(uri)} is up to date with {sent} of {len(journals)} journals")
    return 1 if faults else 0
