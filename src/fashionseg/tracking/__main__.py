"""`python -m fashionseg.tracking FOLDER PID`: the mirror process of stage PID (`mirror`), to MLFLOW_TRACKING_URI."""

import os
import sys
from pathlib import Path

from fashionseg.tracking.address import tracking_uri
from fashionseg.tracking.journal import Journal
from fashionseg.tracking.mirror import mirror

PATIENCE_SECONDS = 60.0  # the first mirror of a killed and restarted stage may still be sending

if __name__ == "__main__":
    os.nice(10)  # the stage has priority
    folder, pid = sys.argv[1:]
    journal = Journal(Path(folder))
    with journal.exclusive(PATIENCE_SECONDS) as is_locked:
        is_sent = is_locked and mirror(journal, tracking_uri(None), sys.stdin.fileno(), int(pid))
    sys.exit(0 if is_sent else 1)
