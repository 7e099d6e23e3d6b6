"""`fab dgx-*` against a real sshd and real containers, without faults."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from checkouts import Checkout, NewCheckout
    from gpu_host import GpuHost
    from mlflow_server import MlflowServer

UNTIL_CLEAN = ["dvc status: clean", "job finished"]


def test_build_and_train_give_the_results_of_a_local_run(checkout: Checkout) -> None:
    # Secrets, ignored by Git or not, and files of this machine.
    for name in ("kaggle.json", "id_rsa", "src/server.pem", ".dvc/config.local"):
        (checkout.folder / name).write_text("")

    built = checkout.fab("dgx-build", image="small")
    assert built.splitlines()[-1] == "build: small is ready"
    assert checkout.fab("dgx-build", image="small") == "build: small on gpu is up to date\n"

    trained = checkout.fab("dgx-train", image="small")
    assert "epoch 3 of 3" in trained
    assert trained.splitlines()[-2:] == UNTIL_CLEAN
    weights = checkout.folder / "models/heads/model.weights.h5"
    assert weights.read_bytes() == b"weights of seed 2019" * 10_000
    assert (checkout.folder / "data/decoded/shard-2").read_bytes() == b"\x02" * 40_000
    assert (checkout.folder / "reports/metrics.json").read_text() == '{"score": 0.5}\n'
    assert (checkout.folder / "reports/plots/curve.csv").exists()
    assert (checkout.folder / "reports/pictures/photo.png").exists()
    assert checkout.run("dvc", "repro").splitlines()[-1] == "Data and pipelines are up to date."

    there = {path.name for path in checkout.workspace.rglob("*")}
    assert "model.weights.h5" in there
    assert there.isdisjoint({".git", "kaggle.json", "id_rsa", "server.pem"})
    assert "no_scm = true" in (checkout.workspace / ".dvc/config.local").read_text()

    # The second sync has nothing to send.
    assert "(0 files and 0 cache objects sent)" in checkout.fab("dgx-sync", image="small")


def test_deleted_file_is_deleted_on_the_host_but_outputs_and_state_stay(checkout: Checkout) -> None:
    checkout.fab("dgx-sync")
    only_there = [checkout.workspace / "data/decoded/shard-0", checkout.workspace / ".fashionseg/state.json"]
    for path in only_there:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (checkout.folder / "src/fashionseg/taxonomy.py").unlink()

    printed = checkout.fab("dgx-sync")

    assert "(1 files and 0 cache objects sent)" in printed
    assert not (checkout.workspace / "src/fashionseg/taxonomy.py").exists()
    assert all(path.exists() for path in only_there)


def test_only_stale_stages_run_on_the_host(new_checkout: NewCheckout, host: GpuHost) -> None:
    """Outputs of stages that ran here are sent as cache objects, and the workspace checks them out."""
    here = new_checkout("here")
    here.run("dvc", "repro", "decode")

    printed = here.fab("dgx-train", "--stages", "train", "--no-models")

    assert "(7 files" not in printed
    assert "Running stage 'train'" in printed
    assert "Running stage 'decode'" not in printed
    assert "Running stage 'evaluate'" not in printed
    assert not (here.folder / "models").exists()
    assert "fab dgx-fetch --everything" in printed

    here.fab("dgx-fetch", "--everything")
    assert (here.folder / "models/heads/model.weights.h5").exists()


def test_losses_appear_live_and_once(new_checkout: NewCheckout, mlflow_server: MlflowServer) -> None:
    checkout = new_checkout(mlflow=mlflow_server.address)
    checkout.hold_training()
    job = checkout.start_fab("dgx-train")
    job.read_until("epoch 1 of 3")
    mlflow_server.wait_for_losses([1.0])

    checkout.hold.unlink()
    printed = job.finish()

    assert printed.splitlines()[-2:] == UNTIL_CLEAN
    assert mlflow_server.losses() == [1.0, 1 / 2, 1 / 3]
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout.folder, capture_output=True, text=True)
    assert mlflow_server.tags()["git.commit"] == commit.stdout.strip()


def test_losses_logged_without_a_connection_are_imported(
    new_checkout: NewCheckout, mlflow_server: MlflowServer
) -> None:
    checkout = new_checkout(mlflow=mlflow_server.address)
    before = mlflow_server.losses()
    checkout.hold_training()
    checkout.fab("dgx-train", "--set", "seed=1", "--detach")
    assert mlflow_server.losses() == before

    checkout.hold.unlink()
    checkout.fab("dgx-train")

    assert mlflow_server.losses() == [1.0, 1 / 2, 1 / 3]


def test_jump_host_is_used(checkout: Checkout) -> None:
    assert "no job" in checkout.fab("dgx-status", host="gpu-behind")


def test_doctor_reports_each_check_with_advice(checkout: Checkout) -> None:
    """The base image has TensorFlow for the CPU and the host no GPU: those checks are bad, the others are not."""
    printed = checkout.fab("dgx-doctor", expect=1)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    states = {row[0]: row[1] for row in rows if row[0]}
    assert states["SSH"] == states["host tools"] == states["workspace"] == states["docker"] == "ok"
    assert states["python"] == states["packages"] == "ok"
    assert states["driver"] == states["GPUs in TensorFlow"] == "bad"
    assert "for a host without GPUs set `gpus: none`" in " ".join(row[3] for row in rows)


def test_status_logs_and_fetch_of_a_running_job(checkout: Checkout) -> None:
    checkout.hold_training()
    checkout.fab("dgx-train", "--detach")

    logs = checkout.start_fab("dgx-logs")
    logs.read_until("epoch 1 of 3")
    status = checkout.fab("dgx-status")
    assert re.search(r"`fab dgx-train`, running since \d{4}-\d\d-\d\d \d\d:\d\d UTC", status)
    assert "epoch 1 of 3" in status
    assert re.search(r"disk: [\d.]+ GB free", status)

    checkout.fab("dgx-fetch")  # the finished stages
    assert (checkout.folder / "data/decoded/shard-0").exists()
    assert not (checkout.folder / "models").exists()

    checkout.hold.unlink()
    assert "the job has ended" in logs.finish()
    assert checkout.fab("dgx-fetch").splitlines()[-2:] == UNTIL_CLEAN
    assert checkout.fab("dgx-status").startswith("no job\n")


@pytest.mark.fault(table="secrets", case="the container", outcome="runs as the login, not as root")
def test_container_runs_as_the_login_with_the_dgx_flags(checkout: Checkout, host: GpuHost) -> None:
    checkout.hold_training()
    checkout.fab("dgx-train", "--detach")
    [name] = host.run("docker ps --format '{{.Names}}'").split()
    [container] = json.loads(host.run(f"docker inspect {name}"))
    assert container["Config"]["User"] == f"{os.getuid()}:{os.getgid()}"
    command = container["Config"]["CreateCommand"]
    assert "--ipc=host" in command
    assert command[command.index("--gpus") + 1] == "all"
    assert {"Name": "RLIMIT_STACK", "Soft": 67108864, "Hard": 67108864} in container["HostConfig"]["Ulimits"]
