"""`python -m tools.soak.serving`: the real server with the tiny network, on a free port."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from fashionseg.console import exit_code
from fashionseg.detections.instances import Thresholds
from fashionseg.detections.thresholds import write_thresholds
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.registry.candidate import serving_config
from fashionseg.registry.photo_model import PhotoModel
from fashionseg.registry.server import Limits, listen, make_app, run_server
from fashionseg.storage.atomic import atomic_write
from tools.soak.inputs import soak_params


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve predictions of a tiny network.")
    parser.add_argument("work", type=Path, help="folder of `inputs.write_inputs`")
    parser.add_argument("port", type=Path, help="file to write the port number to")
    arguments = parser.parse_args()
    folder = arguments.work / "model"
    if not folder.is_dir():
        _save_untrained(folder)
    thresholds = arguments.work / "thresholds.json"
    write_thresholds(Thresholds(0.0, 0.5, 0.5, 0), thresholds)  # keeps every detection: the most work
    model = PhotoModel()
    artifacts = {"model": str(folder), "thresholds": str(thresholds)}
    config = serving_config(soak_params(load_params(PARAMS_FILE)))
    context = SimpleNamespace(artifacts=artifacts, model_config=config)
    model.load_context(cast(Any, context))
    with listen(0) as listener:
        with atomic_write(arguments.port) as temporary:
            temporary.write_text(str(listener.getsockname()[1]))
        run_server(make_app(model.detect, "soak", Limits()), listener)


def _save_untrained(folder: Path) -> None:
    from fashionseg.backend import make_reproducible
    from fashionseg.taxonomy import competition_taxonomy

    params = soak_params(load_params(PARAMS_FILE))
    make_reproducible(params.seed, deterministic=False)
    from fashionseg.model.folder import save_network
    from fashionseg.model.networks import build_network

    names = competition_taxonomy().category_names
    save_network(build_network(params.model, len(names), params.inference), params.model, names, folder)


if __name__ == "__main__":
    sys.exit(exit_code(main))
