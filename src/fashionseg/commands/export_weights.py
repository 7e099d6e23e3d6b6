"""`fashionseg export-weights`: a model folder of ours as a weight file in Matterport's layout."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.console import say


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="weight file (.h5) to write")
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("models/finetuned"),
        metavar="DIR",
        help="folder written by a training stage (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from fashionseg.model.build import load_model
    from fashionseg.model.weights import backbone_of, save_matterport

    network, _, category_names = load_model(arguments.model)
    save_matterport(network, arguments.path)
    classes = len(category_names) + 1
    say(f"{arguments.model} -> {arguments.path}: {backbone_of(network)}, {classes} classes")
    return 0
