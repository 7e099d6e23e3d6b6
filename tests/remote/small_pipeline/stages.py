"""Stand-in stages of a few seconds with a journal of losses, a resume state and outputs.

The tests create files below .fashionseg: `hold` (wait after each epoch) and `fail` (exit with status 3).
"""

import json
import sys
import time
from pathlib import Path

STATE = Path(".fashionseg")
EPOCHS = 3


def decode() -> None:
    folder = Path("data/decoded")
    folder.mkdir(parents=True)
    for shard in range(3):
        (folder / f"shard-{shard}").write_bytes(bytes([shard]) * 40_000)


def train() -> None:
    from fashionseg import tracking  # not needed by the other stages
    from fashionseg.params import load_params

    params = load_params()
    state = STATE / "state.json"
    done = json.loads(state.read_text())["epoch"] if state.exists() else 0
    print(f"resuming after epoch {done}")
    with tracking.stage_run("train_heads", params) as run:
        try:
            for epoch in range(done + 1, EPOCHS + 1):
                run.log_metrics({"loss": 1.0 / epoch}, step=epoch)
                done = epoch
                print(f"epoch {epoch} of {EPOCHS}")
                while (STATE / "hold").exists():
                    time.sleep(0.05)
        except KeyboardInterrupt:
            state.write_text(json.dumps({"epoch": done}))
            print("state saved")
            raise
    if (STATE / "fail").exists():
        print("the training failed on purpose")
        sys.exit(3)
    folder = Path("models/heads")
    folder.mkdir(parents=True)
    (folder / "model.weights.h5").write_bytes(b"weights of seed %d" % params.seed * 10_000)
    state.unlink(missing_ok=True)


def evaluate() -> None:
    (Path("reports") / "plots").mkdir(parents=True, exist_ok=True)
    (Path("reports") / "pictures").mkdir(parents=True, exist_ok=True)
    Path("reports/metrics.json").write_text('{"score": 0.5}\n')
    Path("reports/plots/curve.csv").write_text("epoch,loss\n1,1.0\n")
    Path("reports/pictures/photo.png").write_bytes(b"picture")


if __name__ == "__main__":
    {"decode": decode, "train": train, "evaluate": evaluate}[sys.argv[1]]()
