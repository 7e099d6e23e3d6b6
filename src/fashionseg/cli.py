"""The `fashionseg` command. Each sub-command is a module of `fashionseg.commands` with

    configure(parser)   adds the arguments
    run(arguments)      runs the command, returns the exit status

imported only when called, so that `fashionseg --help` starts in a fraction of a second.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence

from fashionseg.console import exit_code

COMMANDS = {
    "preset": "merge a preset and key=value changes into params.yaml",
    "predict": "outline the garments in photos",
    "browse": "write pages to look at the data set",
    "convert": "convert between COCO json, Kaggle's layout and predictions",
    "score": "compute the competition score of a submission file",
    "check-submission": "check a submission file against the competition's rules",
    "submit": "check the submission, or upload it",
    "summary": "print scores and the paths of the results",
    "resolve": "finish a merge in which dvc.lock or the reports conflict",
    "exp-report": "write an offline HTML page that compares runs",
    "import-journals": "send runs to MLflow that were logged without a connection",
    "fit-anchors": "fit the anchors' sizes and aspect ratios to the boxes of the training photos",
    "tune": "search hyperparameters, each trial a DVC experiment",
    "compare": "tell whether the scores of two settings differ, photo by photo",
    "average": "average the weights of models of one architecture; score the result",
    "ensemble": "fuse the predictions of several runs; score them, and write a submission",
    "seeds": "run a setting with several seeds, each a DVC experiment",
    "cross-validate": "run the folds of a cross-validation, each a DVC experiment",
    "register": "register the trained model in MLflow, and promote it to champion if it is better",
    "serve": "serve a registered model over HTTP on 127.0.0.1",
    "export": "write a trained model to one file that runs without TensorFlow",
    "import-weights": "convert a weight file in Matterport's layout to a model folder",
    "export-weights": "convert a model folder to a weight file in Matterport's layout",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the console script."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    about = "Clothing segmentation for iMaterialist (Fashion) 2019."
    return exit_code(lambda: run_command("fashionseg", about, "fashionseg.commands", COMMANDS, arguments))


def run_command(prog: str, about: str, package: str, commands: Mapping[str, str], argv: list[str]) -> int:
    """Parses `argv` and runs the module in `package` named by the first word; returns the exit status.

    Args:
        prog: name of the program, for `--help`.
        about: description of the program.
        package: package with one module per command; `-` in a command's name is `_` in the module's.
        commands: help text by name.
        argv: words after the program's name.
    """
    parser = argparse.ArgumentParser(prog=prog, description=about)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    called = next((word for word in argv if not word.startswith("-")), None)
    module = None
    for name, help_text in commands.items():
        subparser = subparsers.add_parser(
            name, help=help_text, description=help_text[0].upper() + help_text[1:] + "."
        )
        if name == called:
            module = importlib.import_module(f"{package}.{name.replace('-', '_')}")
            module.configure(subparser)
    arguments = parser.parse_args(argv)
    assert module is not None
    return module.run(arguments) or 0


if __name__ == "__main__":
    sys.exit(main())
