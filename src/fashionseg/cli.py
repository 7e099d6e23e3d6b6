"""The `fashionseg` command. Each sub-command is a module of `fashionseg.commands` with

    configure(parser)   adds its arguments
    run(arguments)      does the work, returns the exit status

imported only when called, so that `fashionseg --help` starts in a fraction of a second.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from fashionseg.console import exit_code

COMMANDS = {
    "preset": "merge a preset and key=value changes into params.yaml",
    "predict": "outline the garments in photos",
    "score": "competition score of a submission file",
    "check-submission": "check a submission file against the competition's rules",
    "submit": "check the submission, or upload it",
    "summary": "scores and where the results lie",
    "exp-report": "one offline page that compares runs",
    "import-journals": "log to MLflow what did not reach it while training",
    "tune": "search for better parameters, each trial a DVC experiment",
    "register": "make the trained model a version in MLflow, the champion if it is better",
    "serve": "answer photos over HTTP on 127.0.0.1 with a registered model",
    "soak": "train and serve for long, and see that memory and open files stay level",
    "reproducible": "run twice in fresh clones and compare every output's hash",
    "import-weights": "turn a weight file in Matterport's layout into ours",
    "export-weights": "turn our weights into Matterport's layout",
    "audit": "write the SBOM of the locked packages, and say what is known against them",
    "bench": "measure how fast the parts are, beside their targets",
    "bench-street": "our Mask R-CNN and torchvision's on the same photos for the same minutes",
    "parity": "compare the model with stored outputs of Matterport's code",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    return exit_code(lambda: _main(sys.argv[1:] if argv is None else list(argv)))


def _main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="fashionseg", description="Clothing segmentation for iMaterialist (Fashion) 2019."
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    called = next((word for word in argv if not word.startswith("-")), None)
    module = None
    for name, help_text in COMMANDS.items():
        subparser = commands.add_parser(
            name, help=help_text, description=help_text[0].upper() + help_text[1:] + "."
        )
        if name == called:
            module = importlib.import_module(f"fashionseg.commands.{name.replace('-', '_')}")
            module.configure(subparser)
    arguments = parser.parse_args(argv)
    assert module is not None
    return module.run(arguments) or 0


if __name__ == "__main__":
    sys.exit(main())
