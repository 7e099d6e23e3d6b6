"""`fashionseg serve`: serves a registered model, or an exported file, over HTTP on 127.0.0.1.

curl --data-binary @photo.jpg http://127.0.0.1:5001/predict
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.project import load_project


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="name of the registered model [tracking.experiment]")
    parser.add_argument("--version", default="champion", help="version number or alias [%(default)s]")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="of `fashionseg export`, instead of a registered model"
    )
    parser.add_argument("--port", type=int, default=5001, help="[%(default)s]")
    parser.add_argument(
        "--max-megabytes", type=float, default=32.0, help="size limit of a photo file [%(default)s]"
    )
    parser.add_argument("--at-once", type=int, default=8, help="photos in memory [%(default)s]")
    parser.add_argument("--max-waiting", type=int, default=64, help="requests that wait [%(default)s]")
    parser.add_argument("--wait-seconds", type=float, default=60.0, help="longest wait [%(default)s]")


def run(arguments: argparse.Namespace) -> None:
    detect, version = _exported(arguments.weights) if arguments.weights else _registered(arguments)
    from fashionseg.registry.server import Limits, listen, make_app, run_server

    max_bytes = int(arguments.max_megabytes * 2**20)
    limits = Limits(max_bytes, arguments.at_once, arguments.max_waiting, arguments.wait_seconds)
    app = make_app(detect, version, limits)
    with listen(arguments.port) as listener:
        port = listener.getsockname()[1]
        say(f"version {version}: http://127.0.0.1:{port}/predict (POST a photo); Ctrl-C stops the server")
        run_server(app, listener)


def _registered(arguments: argparse.Namespace) -> tuple[Callable[[bytes], Any], str]:
    """What answers the bytes of a photo, and the version."""
    from fashionseg.tracking.address import tracking_uri
    from fashionseg.tracking.mirror import require_store

    _, params = load_project()
    uri = tracking_uri(params.tracking.uri)
    require_store(uri)
    from fashionseg.registry.store import Registry, example_photo

    model, version = Registry(uri, arguments.name or params.tracking.experiment).load(arguments.version)
    model.detect(example_photo())  # compiles the network before the first request
    return model.detect, version


def _exported(weights: Path) -> tuple[Callable[[bytes], Any], str]:
    """The same of an exported file, without MLflow and TensorFlow."""
    from fashionseg.detections.photo_bytes import detect_in_bytes
    from fashionseg.exported.runtime import load_exported

    _, params = load_project()
    detector, about = load_exported(weights)
    detect = partial(detect_in_bytes, detector, about.thresholds, max_megapixels=params.decode.max_megapixels)
    return detect, weights.name
