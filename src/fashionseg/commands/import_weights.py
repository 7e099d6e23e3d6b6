"""`fashionseg import-weights`: converts a weight file in Matterport's layout to a model folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.console import say
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.project import find_root
from fashionseg.taxonomy import competition_taxonomy


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="weight file (.h5), for example mask_rcnn_coco.h5")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("models/imported"),
        metavar="DIR",
        help="folder to write (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    params = load_params(find_root() / PARAMS_FILE)
    import keras

    from fashionseg.model.folder import save_network
    from fashionseg.model.networks import build_network

    taxonomy = competition_taxonomy()
    keras.utils.set_random_seed(params.seed)  # for layers without weights in the file
    network = build_network(params.model, taxonomy.num_categories, params.inference)
    loaded = network.load_pretrained(arguments.path)
    save_network(network, params.model, taxonomy.category_names, arguments.out)
    say(f"{arguments.path} -> {arguments.out}: {loaded}")
    return 0
