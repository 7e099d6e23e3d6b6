"""`fashionseg serve`: a registered model answers on 127.0.0.1.

curl --data-binary @photo.jpg http://127.0.0.1:5001/predict
"""

from __future__ import annotations

import argparse
import contextlib

from fashionseg.console import say
from fashionseg.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="of the registered model [tracking.experiment]")
    parser.add_argument("--version", default="champion", help="number or alias of the version [%(default)s]")
    parser.add_argument("--port", type=int, default=5001, help="[%(default)s]")
    parser.add_argument("--max-megabytes", type=float, default=32.0, help="of one photo file [%(default)s]")
    parser.add_argument("--max-waiting", type=int, default=8, help="requests at once [%(default)s]")


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
    import uvicorn

    from fashionseg.registry.server import make_app

    app = make_app(model.detect, version, int(arguments.max_megabytes * 2**20), arguments.max_waiting)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=arguments.port, log_level="warning", lifespan="off")
    )
    say(f"version {version}: http://127.0.0.1:{arguments.port}/predict (POST a photo); Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):  # Uvicorn ends in order, then sends itself the signal again
        server.run()
    return 0
