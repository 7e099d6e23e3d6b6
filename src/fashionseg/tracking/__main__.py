"""`python -m fashionseg.tracking FOLDER PID`: the mirror process of a stage (`mirror`), to MLFLOW_TRACKING_URI."""

import argparse
import os
import sys
from pathlib import Path

from fashionseg.tracking.address import tracking_uri
from fashionseg.tracking.journal import Journal
from fashionseg.tracking.mirror import EXIT_ALL_SENT, EXIT_NOT_REACHED, mirror

PATIENCE_SECONDS = 60.0


def main() -> int:
    parser = argparse.ArgumentParser(description="Send a journal to MLflow until standard input closes.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("pid", type=int, help="process id of the stage")
    arguments = parser.parse_args()
    os.nice(10)  # the stage has priority
    journal = Journal(arguments.folder)
    # The first mirror of a killed and restarted stage may still be sending.
    with journal.exclusive(PATIENCE_SECONDS) as is_locked:
        is_sent = is_locked and mirror(journal, tracking_uri(None), sys.stdin.fileno(), arguments.pid)
    return EXIT_ALL_SENT if is_sent else EXIT_NOT_REACHED


if __name__ == "__main__":
    sys.exit(main())
