"""The pretrained weights that stage `pretrained` left in its folder, put into a network."""

from __future__ import annotations

import json
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.model.api import Network

SOURCE, WEIGHTS = "source.json", "weights.h5"


def load_pretrained(network: Network, folder: Path) -> None:
    """Loads what fits and reports it in one line; leaves the network at its initial values for source `none`.

    Raises:
        UserError: the folder is not one of stage `pretrained`, or the weights do not fit the network.
    """
    path = folder / SOURCE
    try:
        source = json.loads(path.read_text(encoding="utf-8"))["source"]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage pretrained") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{path}: expected {{"source": "none", "imagenet", "coco" or "file"}}: {error}'
        ) from None
    if source == "none":
        say("weights: random initialisation")
    else:
        say(f"weights of {source}: {network.load_pretrained(folder / WEIGHTS)}")
