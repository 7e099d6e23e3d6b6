"""`fashionseg export FILE.tflite [--weights DIR] [--precision float16]`: a trained model that needs no TensorFlow.

1. Convert the network of a model folder to LiteRT, with its categories and calibrated thresholds in the same file.
2. Detect on photos with both and compare: a float32 file that finds anything else is an error, and is not kept.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from fashionseg.commands.predict import THRESHOLDS, WEIGHTS, choose_thresholds, list_photos
from fashionseg.console import EXIT_FAULT, say
from fashionseg.errors import UserError
from fashionseg.project import load_project

if TYPE_CHECKING:
    import numpy as np

_MOST_PHOTOS = 24


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path, metavar="FILE", help="file to write, ending in .tflite")
    parser.add_argument("--weights", type=Path, metavar="DIR", help=f"model folder [{WEIGHTS}]")
    parser.add_argument(
        "--precision",
        choices=("float32", "float16", "int8"),
        default="float32",
        help="of the weights [float32]",
    )
    parser.add_argument(
        "--thresholds", type=Path, metavar="FILE", help=f"[{THRESHOLDS} if it exists, else 0.5]"
    )
    parser.add_argument(
        "--photos", type=Path, nargs="+", metavar="PHOTO", help="to compare on, or folders [data/raw/test]"
    )


def run(arguments: argparse.Namespace) -> int:
    from fashionseg.exported.file import SUFFIX, About, write_exported

    root, params = load_project()
    if arguments.path.suffix != SUFFIX:
        raise UserError(f"{arguments.path}: expected a name that ends in {SUFFIX}")
    thresholds = choose_thresholds(arguments.thresholds, root / THRESHOLDS)
    weights = arguments.weights or root / WEIGHTS
    photos = _read_photos(arguments.photos or [root / "data/raw/test"], params.decode.max_megapixels)
    from fashionseg.backend import start_backend

    start_backend()
    from fashionseg.detections.inference import make_detector, predict_photos
    from fashionseg.exported.convert import to_litert
    from fashionseg.exported.parity import compare_detections
    from fashionseg.exported.runtime import load_exported
    from fashionseg.model.folder import load_network

    network, _, category_names = load_network(weights, params.inference)
    model = to_litert(network, arguments.precision)
    about = About(
        category_names,
        network.image_size,
        network.takes_pose,
        params.inference.mask_quality,
        params.inference.flip,
        thresholds,
        arguments.precision,
    )
    trial = arguments.path.with_name(f".{arguments.path.name}")
    try:
        write_exported(trial, model, about)
        say(
            f"{weights} -> {arguments.path}: {trial.stat().st_size / 1e6:.1f} MB, {arguments.precision} weights"
        )
        if network.takes_pose:
            say("not compared: the model takes landmarks and person masks as inputs")
        else:
            original = make_detector(network, category_names, about.mask_quality, about.flip)
            exported, _ = load_exported(trial)
            expected, found = (predict_photos(each, photos, 1) for each in (original, exported))
            parity = compare_detections(expected, found, params.inference.score_threshold)
            say(f"compared with TensorFlow: {parity}")
            if arguments.precision == "float32" and not parity.holds:
                say("error: the file finds something else than the model folder; it is not kept")
                return EXIT_FAULT
        trial.replace(arguments.path)
    finally:
        trial.unlink(missing_ok=True)
    return 0


def _read_photos(paths: list[Path], max_megapixels: float) -> list[tuple[str, np.ndarray]]:
    """Some photos of the paths, by name."""
    from fashionseg.prepare.photos import read_photo_with_changes

    files = list(itertools.islice(list_photos(paths, []), _MOST_PHOTOS))
    if not files:
        raise UserError(f"--photos: expected photos to compare on, found none in {' '.join(map(str, paths))}")
    return [
        (f"{place:04d}", read_photo_with_changes(file, max_megapixels)[0]) for place, file in enumerate(files)
    ]
