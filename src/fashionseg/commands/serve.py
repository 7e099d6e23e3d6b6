"""`fashionseg serve`: a registered model answers on 127.0.0.1.

curl --data-binary @photo.jpg http://127.0.0.1:5001/predict
"""

from __future__ import annotations

import argparse

from fashionseg.console import say
from fashionseg.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="of the registered model [tracking.experiment]")
    parser.add_argument("--version", default="champion", help="number or alias of the version [%(default)s]")
    parser.add_argument("--port", type=int, default=5001, help="[%(default)s]")
    parser.add_argument("--max-megabytes", type=float, default=32.0, help="of one photo file [%(default)s]")
    parser.add_argument("--at-once", type=int, default=8, help="photos in memory [%(default)s]")
    parser.add_argument("--max-waiting", type=int, default=64, help="requests beyond those [%(default)s]")
    parser.add_argument("--wait-seconds", type=float, default=60.0, help="one waits at most [%(default)s]")


def run(arguments: argparse.Namespace) -> int:
    from fashionseg.params import PARAMS_FILE, load_params
    from fashionseg.project import find_root
    from fashionseg.tracking.address import is_listening, public_uri, tracking_uri

    tracking = load_params(find_root() / PARAMS_FILE).tracking
    uri = tracking_uri(tracking.uri)
    if not is_listening(uri):
        raise UserError(f"MLflow: expected a server at {public_uri(uri)}, but nothing listens there")
    from fashionseg.registry.store import Registry, example_photo

    model, version = Registry(uri, arguments.name or tracking.experiment).load(arguments.version)
    model.detect(example_photo())  # compiles the network, so that the first photo does not wait for it
    from fashionseg.registry.server import Limits, listen, make_app, run_server

    limits = Limits(
        max_bytes=int(arguments.max_megabytes * 2**20),
        at_once=arguments.at_once,
        max_waiting=arguments.max_waiting,
        wait_seconds=arguments.wait_seconds,
    )
    app = make_app(model.detect, version, limits)
    with listen(arguments.port) as listener:
        port = listener.getsockname()[1]
        say(f"version {version}: http://127.0.0.1:{port}/predict (POST a photo); Ctrl-C ends it")
        run_server(app, listener)
    return 0
