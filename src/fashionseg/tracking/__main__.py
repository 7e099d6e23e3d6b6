"""`python -m fashionseg.tracking FOLDER URI`: the mirror process of a stage (see `mirror`)."""

import argparse
import os
import sys
from pathlib import Path

from fashionseg.tracking.journal import Journal
from fashionseg.tracking.mirror import EXIT_ALL_SENT, EXIT_NOT_REACHED, mirror


def main() -> int:
    parser = argparse.ArgumentParser(description="Send a journal to MLflow until standard input closes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("uri")
    arguments = parser.parse_args()
    os.nice(10)  # the stage comes first
    journal = Journal(arguments.folder)
    with journal.exclusive() as is_ours:
        if not is_ours:
            return EXIT_NOT_REACHED
        return EXIT_ALL_SENT if mirror(journal, arguments.uri, sys.stdin.fileno()) else EXIT_NOT_REACHED


if __name__ == "__main__":
    sys.exit(main())
