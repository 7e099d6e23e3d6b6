"""Program run by test_resume.py: a training that kill -9 ends after its first epoch.

`argv[1]` is its state, `argv[2]` the settings that differ, as JSON.
"""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from fashionseg.training.state import stored_epochs
from fixed_batches import Batch, FixedBatches
from toy_training import STEPS, fresh_network, run


class DeadlyBatches(FixedBatches):
    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            # Keras takes batches ahead: the first epoch may not have ended yet.
            if self.next > STEPS and stored_epochs(STATE):
                os.kill(os.getpid(), signal.SIGKILL)
            yield batch


STATE = Path(sys.argv[1])

if __name__ == "__main__":
    run(fresh_network(), STATE, batches=DeadlyBatches, **json.loads(sys.argv[2]))
