"""`fashionseg export-weights`: converts a model folder to a weight file in Matterport's layout."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.project import load_project


def configure(parser: argparse.ArgumentParser) -> None:
    model = Path("models/finetuned")
    parser.add_argument("path", type=Path, help="weight file (.h5) to write")
    parser.add_argument("--model", type=Path, default=model, metavar="DIR", help="model folder [%(default)s]")


def run(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from fashionseg.model.folder import load_network
    from fashionseg.model.mask_rcnn import MaskRCNN
    from fashionseg.model.weights import backbone_of, save_matterport

    _, params = load_project()
    network, _, category_names = load_network(arguments.model, params.inference)
    if not isinstance(network, MaskRCNN):
        raise UserError(
            f"{arguments.model}: expected a Mask R-CNN, got {network.name}; only its weights have this layout"
        )
    save_matterport(network, arguments.path)
    classes = len(category_names) + 1
    say(f"{arguments.model} -> {arguments.path}: {backbone_of(network)}, {classes} classes")
