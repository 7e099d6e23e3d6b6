"""`fashionseg register`: registers the trained model in MLflow, and promotes it to champion if it is better.

1. check that model, thresholds and scores belong together;
2. send the journal of the model's run to MLflow;
3. log the model to that run and register it, unless it is registered already;
4. move the alias `champion` if the model scores higher than the champion on the same data.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.project import load_project


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="name of the registered model [tracking.experiment]")
    parser.add_argument(
        "--champion",
        action="store_true",
        help="promote without comparing scores, for example after a change of the data",
    )


def run(arguments: argparse.Namespace) -> None:
    from fashionseg.registry.candidate import read_candidate, serving_config
    from fashionseg.tracking.address import public_uri, tracking_uri
    from fashionseg.tracking.mirror import require_store, send
    from fashionseg.tracking.scores import journals_with
    from fashionseg.tracking.stage_run import log_outputs

    root, params = load_project()
    os.chdir(root)
    candidate = read_candidate(Path(), serving_config(params))
    uri = tracking_uri(params.tracking.uri)
    require_store(uri)
    from fashionseg.registry.store import Registry

    found = journals_with(candidate.metrics)
    # A clone that pulled the model has no journal; the histories and scores pulled with it give one.
    journal = found[-1] if found else log_outputs(Path(), params)
    with journal.exclusive(patience_seconds=60.0) as is_locked:
        failure = send(journal, uri) if is_locked else "a running stage is sending it"
        if failure is not None:
            raise UserError(
                f"MLflow: the run in {journal.folder} was not sent to {public_uri(uri)}: {failure}"
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
