"""`fashionseg tune`: searches the space in tune.yaml with Optuna; resumes an interrupted search."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.console import say
from fashionseg.params import to_dict
from fashionseg.project import load_project


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings file [tune.yaml]")
    parser.add_argument("--trials", type=int, help="number of trials, overrides the settings")


def run(arguments: argparse.Namespace) -> None:
    from fashionseg.tune.settings import TUNE_FILE, load_tuning

    settings = None if arguments.settings is None else arguments.settings.resolve()
    root, project_params = load_project()
    os.chdir(root)
    params = to_dict(project_params)
    tuning = load_tuning(settings or TUNE_FILE, params)
    from fashionseg.tune.study import tune

    study = tune(tuning, arguments.trials or tuning.trials, params, root)
    best = study.best_trial
    name = best.user_attrs["experiment"]
    say(f"best: {name}, competition score {best.value:.4f}; apply it with `dvc exp apply {name}`")
