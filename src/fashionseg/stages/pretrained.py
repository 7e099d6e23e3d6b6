"""Stage `pretrained`: the weights that the training starts from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fashionseg.console import exit_code, say
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.sources.pretrained import write_pretrained
from fashionseg.storage.atomic import atomic_directory


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m fashionseg.stages.pretrained", description=__doc__)
    parser.add_argument("--pretrained", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--params", type=Path, default=PARAMS_FILE)
    arguments = parser.parse_args()
    model = load_params(arguments.params).model
    with atomic_directory(arguments.pretrained) as folder:
        source = write_pretrained(folder, model.pretrained, model.backbone.name)
    say(f"pretrained: {source} -> {arguments.pretrained}")


if __name__ == "__main__":
    sys.exit(exit_code(main))
