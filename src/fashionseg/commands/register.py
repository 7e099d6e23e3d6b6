"""`fashionseg register`: registers the trained model in MLflow, and promotes it to champion if it is better.

1. check that model, thresholds and scores belong together;
2. send the journal of the model's run to MLflow;
3. log the model to that run and register it, unless it is registered already;
4. move the alias `champion` if the model scores higher than the champion on the same data.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="name of the registered model [tracking.experiment]")
    parser.add_argument(
        "--champion",
        action="store_true",
        help="promote without comparing scores, for example after a change of the data",
    )


def run(arguments: argparse.Namespace) -> int:
    import os

    from fashionseg.params import PARAMS_FILE, load_params
    from fashionseg.project import find_root
    from fashionseg.registry.candidate import read_candidate, serving_config
    from fashionseg.tracking.address import public_uri, require_server, tracking_uri
    from fashionseg.tracking.mirror import send

    root = find_root()
    os.chdir(root)
    params = load_params(PARAMS_FILE)
    candidate = read_candidate(Path(), serving_config(params))
    uri = tracking_uri(params.tracking.uri)
    require_server(uri)
    from fashionseg.registry.runs import journal_of
    from fashionseg.registry.store import Registry

    journal = journal_of(candidate, params)
    with journal.exclusive(patience_seconds=60.0) as is_locked:
        if not is_locked or not send(journal, uri):
            raise UserError(
                f"MLflow: the run in {journal.folder} could not be sent to {public_uri(uri)}; see above, then try again"
            )
    registry = Registry(uri, arguments.name or params.tracking.experiment)
    version = registry.find(candidate.model_hash)
    if version is None:
        version = registry.register(candidate, journal)
        say(f"registered: version {version}, score {candidate.score:.4f}")
    else:
        say(f"already registered: version {version}")
    if arguments.champion:
        registry.promote(version)
        say(f"champion: version {version} (--champion)")
    else:
        say(registry.consider(candidate, version))
    return 0
