"""`fashionseg import-weights`: converts a weight file in Matterport's layout to a model folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fashionseg.console import say
from fashionseg.project import load_project
from fashionseg.taxonomy import TAXONOMY_FILE, competition_taxonomy, read_taxonomy


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, help="weight file (.h5), for example mask_rcnn_coco.h5")
    out = Path("models/imported")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="folder to write [%(default)s]")


def run(arguments: argparse.Namespace) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    root, params = load_project()
    import keras

    from fashionseg.model.folder import save_network
    from fashionseg.model.networks import build_network

    decoded = root / "data/decoded"
    taxonomy = read_taxonomy(decoded) if (decoded / TAXONOMY_FILE).is_file() else competition_taxonomy()
    keras.utils.set_random_seed(params.seed)  # for layers without weights in the file
    network = build_network(params.model, taxonomy.num_categories, params.inference)
    loaded = network.load_pretrained(arguments.path)
    save_network(network, params.model, taxonomy.category_names, arguments.out)
    say(f"{arguments.path} -> {arguments.out}: {loaded}")
