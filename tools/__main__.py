"""`python -m tools COMMAND`: what `make bench`, `make parity`, `make soak`, ... run."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fashionseg.cli import run_command
from fashionseg.console import exit_code

COMMANDS = {
    "audit": "write the SBOM of the locked packages and look up their known vulnerabilities",
    "bench": "measure the speed of the parts against their targets",
    "bench-street": "train our Mask R-CNN and torchvision's on the same photos for the same time",
    "dvc-deps": "write the code dependencies of dvc.yaml from the imports of the stages",
    "dvc-locks": "remove a lock file of DVC that a killed process left half written",
    "parity": "compare the model with stored outputs of Matterport's code",
    "reproducible": "run the pipeline twice in fresh clones and compare every output's hash",
    "soak": "train and serve for long and check that memory and open files stay level",
}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else list(argv)
    about = "Development tools of fashionseg."
    return exit_code(lambda: run_command("python -m tools", about, "tools.commands", COMMANDS, arguments))


if __name__ == "__main__":
    sys.exit(main())
