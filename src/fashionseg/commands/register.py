"""`fashionseg register`: the trained model becomes a version in MLflow's registry, and the champion if it is better.

1. check that model, thresholds and scores belong together;
2. bring its run in MLflow up to date from the journal;
3. log the model to that run and register it, once;
4. move the alias `champion` if it scores higher than the present one on the same data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="of the registered model [tracking.experiment]")
    parser.add_argument(
        "--champion", action="store_true", help="make it the champion without comparing, as after new data"
    )


def run(arguments: argparse.Namespace) -> int:
    import os

    from fashionseg.params import PARAMS_FILE, load_params
    from fashionseg.project import find_root
    from fashionseg.registry.candidate import read_candidate
    from fashionseg.tracking.address import is_listening, public_uri, tracking_uri
    from fashionseg.tracking.mirror import send

    root = find_root()
    os.chdir(root)
    params = load_params(PARAMS_FILE)
    candidate = read_candidate(Path())
    uri = tracking_uri(params.tracking.uri)
    if not is_listening(uri):
        raise UserError(f"MLflow: expected a server at {public_uri(uri)}, but nothing listens there")
    from fashionseg.registry.runs import journal_of
    from fashionseg.registry.store import Registry, serving_config

    journal = journal_of(candidate, params)
    with journal.exclusive(patience_seconds=60.0) as is_ours:
        if not is_ours or not send(journal, uri):
            raise UserError(f"MLflow: {public_uri(uri)} did not take the run in {journal.folder}")
    registry = Registry(uri, arguments.name or params.tracking.experiment)
    version = registry.find(candidate.model_hash)
    if version is None:
        version = registry.register(candidate, journal, serving_config(params))
        say(f"registered: version {version}, score {candidate.score:.4f}")
    else:
        say(f"registered before: version {version}")
    if arguments.champion:
        registry.promote(version)
        say(f"champion: version {version}, because you say so")
    else:
        say(registry.consider(candidate, version))
    return 0
