"""The real stages on the host, from a fresh clone with a tiny sample."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tools.commands.reproducible import TINY

if TYPE_CHECKING:
    from checkouts import NewCheckout
    from gpu_host import GpuHost
    from mlflow_server import MlflowServer

REPOSITORY = Path(__file__).parents[2]
# Even smaller: this tests the transfer, not the training.
CHANGES = TINY | {
    "download.sample.train_photos": "12",
    "download.sample.test_photos": "1",
    "train.finetune.epochs": "1",
}


def test_fresh_clone_trains_on_the_host_and_gets_a_submission(
    new_checkout: NewCheckout, mlflow_server: MlflowServer, host: GpuHost
) -> None:
    origin = host.folder / "real"
    subprocess.run(["git", "clone", "-q", REPOSITORY, origin], check=True)
    checkout = new_checkout("real", mlflow=mlflow_server.address, origin=origin)
    sets = [word for key, value in CHANGES.items() for word in ("--set", f"{key}={value}")]

    printed = checkout.fab("dgx-train", "--preset", "sample", *sets, patience=500)

    assert printed.splitlines()[-2:] == ["dvc status: clean", "job finished"]
    rows = (checkout.folder / "reports/submission.csv").read_text().splitlines()
    assert rows[0] == "ImageId,EncodedPixels,ClassId"
    assert re.findall("Running stage '(.*)'", checkout.run("dvc", "repro")) == [
        "source"
    ]  # it runs every time
    names = {metric["key"] for metric in mlflow_server.newest_run()["data"]["metrics"]}
    assert {"loss", "val_loss"} <= names
