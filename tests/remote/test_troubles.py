"""`fab dgx-*` against a real sshd and real containers, with faults: exit status, message, state."""

from __future__ import annotations

import getpass
import json
import shlex
import socket
from typing import TYPE_CHECKING

import pytest
from remote.lock import HOLD

if TYPE_CHECKING:
    from checkouts import Checkout, NewCheckout
    from gpu_host import GpuHost

UNTIL_CLEAN = ["dvc status: clean", "job finished"]
CONNECTION_LOST, BUSY, INTERRUPTED = 75, 3, 130


def test_lost_connection_is_reopened(checkout: Checkout, host: GpuHost) -> None:
    checkout.hold_training()
    job = checkout.start_fab("dgx-train")
    job.read_until("epoch 1 of 3")

    host.cut_connections()
    job.read_until("connection lost; following the log again")
    checkout.hold.unlink()

    printed = job.finish()
    assert printed.splitlines()[-2:] == UNTIL_CLEAN
    assert [printed.count(f"epoch {epoch} of 3") for epoch in (1, 2, 3)] == [1, 1, 1]


def test_job_keeps_running_while_the_host_is_unreachable(new_checkout: NewCheckout, host: GpuHost) -> None:
    checkout, other = new_checkout("clone"), new_checkout("other")
    checkout.hold_training()
    job = checkout.start_fab("dgx-train", reconnect_seconds=0)
    job.read_until("epoch 1 of 3")

    host.stop_sshd()
    try:
        assert "The job keeps running; attach again with `fab dgx-train`" in job.finish(CONNECTION_LOST)
        assert "not reachable" in checkout.fab("dgx-status", expect=2)
    finally:
        host.start()

    refused = other.fab("dgx-train", expect=BUSY)
    assert f"({checkout.folder}): `fab dgx-train`, running since" in refused
    assert "is in use by" in other.fab("dgx-sync", expect=BUSY)
    assert "is in use by" in checkout.fab("dgx-train", "--set", "seed=5", expect=BUSY)
    assert "seed: 2019" in (checkout.folder / "params.yaml").read_text()

    job = checkout.start_fab("dgx-train")
    job.read_until("attaching to the job of")
    job.read_until("epoch 1 of 3")
    checkout.hold.unlink()
    assert job.finish().splitlines()[-2:] == UNTIL_CLEAN


def test_job_that_ended_without_a_connection_is_collected(new_checkout: NewCheckout) -> None:
    checkout, other = new_checkout("clone"), new_checkout("other")
    checkout.hold_training()
    job = checkout.start_fab("dgx-train")
    job.read_until("epoch 1 of 3")
    job.kill()  # the laptop's lid
    checkout.hold.unlink()
    logs = checkout.fab("dgx-logs")
    assert "epoch 3 of 3" in logs

    assert "results not fetched yet" in other.fab("dgx-train", expect=BUSY)
    printed = checkout.fab("dgx-train")
    assert "started:" not in printed
    assert printed.splitlines()[-2:] == UNTIL_CLEAN
    assert "started:" in other.fab("dgx-train", "--detach")


def test_ctrl_c_detaches_and_stop_lets_the_job_save(checkout: Checkout) -> None:
    checkout.hold_training()
    job = checkout.start_fab("dgx-train")
    job.read_until("epoch 1 of 3")
    job.interrupt()
    assert "detached; the job keeps running" in job.finish(INTERRUPTED)

    job = checkout.start_fab("dgx-train")
    job.read_until("attaching to the job of")
    job.read_until("epoch 1 of 3")
    stopped = checkout.fab("dgx-stop")
    assert "stopped; fetch the finished stages with `fab dgx-fetch`" in stopped
    printed = job.finish(INTERRUPTED)
    assert "state saved" in printed
    assert "job stopped; resume with `fab dgx-train`" in printed
    assert (checkout.folder / "data/decoded/shard-0").exists()

    checkout.hold.unlink()
    printed = checkout.fab("dgx-train")
    assert "resuming after epoch 1" in printed
    assert printed.splitlines()[-2:] == UNTIL_CLEAN


def test_stopped_job_that_was_not_fetched_is_resumed(checkout: Checkout) -> None:
    checkout.hold_training()
    checkout.fab("dgx-train", "--detach")
    logs = checkout.start_fab("dgx-logs")
    logs.read_until("epoch 1 of 3")
    checkout.fab("dgx-stop")
    checkout.hold.unlink()
    logs.finish()

    printed = checkout.fab("dgx-train")
    assert "resuming after epoch 1" in printed.partition("started:")[2]
    assert printed.splitlines()[-2:] == UNTIL_CLEAN


def test_host_keys_are_checked(checkout: Checkout) -> None:
    changed = checkout.fab("dgx-train", expect=2, host="gpu-changed")
    assert changed.startswith("error: gpu-changed: the host key differs from known_hosts")
    unknown = checkout.fab("dgx-train", expect=2, host="gpu-unknown")
    assert unknown.startswith(
        "error: gpu-unknown: the host key is unknown, and unknown keys are not accepted."
    )
    assert not (checkout.workspace / "dvc.yaml").exists()


def test_unreachable_host_is_a_one_line_error(checkout: Checkout) -> None:
    printed = checkout.fab("dgx-train", expect=2, host="gpu-away")
    assert printed.startswith("error: gpu-away: not reachable (")
    assert "Connection refused" in printed
    assert len(printed.splitlines()) == 1


def test_missing_image_error_names_the_build_command(checkout: Checkout) -> None:
    printed = checkout.fab("dgx-train", expect=2, image="local/none")
    assert printed.splitlines()[-1] == "error: image local/none is not on gpu; build it with `fab dgx-build`"
    assert checkout.fab("dgx-status", gpus="none").startswith("no job\n")


@pytest.mark.fault(
    table="disk", case="disk full on the GPU host", outcome="reported, exit status 2 or the job's own"
)
def test_full_disk_while_sending_and_while_training(checkout: Checkout, host: GpuHost) -> None:
    """The tree needs about 1 MB: a disk of 500 kB refuses it, one with 60 kB to spare refuses decode's 120 kB."""
    host.run(f"mount -t tmpfs -o size=500k tmpfs {checkout.workspace}")
    printed = checkout.fab("dgx-train", expect=2)
    assert printed.startswith("error: sending the tree: no space left (")
    assert "No space left on device" in printed
    assert "no job" in checkout.fab("dgx-status", gpus="none")

    host.run(f"mount -o remount,size=100m {checkout.workspace}")
    checkout.fab("dgx-sync")
    used_kb = int(host.run(f"df -k --output=used {checkout.workspace}").split()[-1])
    host.run(f"mount -o remount,size={used_kb + 60}k {checkout.workspace}")
    printed = checkout.fab("dgx-train", expect=1)
    assert "job failed with exit code 1 (the host's disk is full)" in printed.splitlines()[-1]

    host.run(f"mount -o remount,size=100m {checkout.workspace}")
    assert checkout.fab("dgx-train").splitlines()[-2:] == UNTIL_CLEAN


def test_finished_stages_of_a_failed_job_are_fetched(checkout: Checkout) -> None:
    (checkout.workspace / ".fashionseg").mkdir()
    (checkout.workspace / ".fashionseg/fail").touch()
    printed = checkout.fab("dgx-train", expect=1)
    last = printed.splitlines()[-1]
    assert last.startswith("job failed with exit code 1; log: ")
    log = checkout.folder / last.rpartition(" ")[2]
    assert "the training failed on purpose" in log.read_text()
    assert (checkout.folder / "data/decoded/shard-0").exists()
    assert not (checkout.folder / "models").exists()

    (checkout.workspace / ".fashionseg/fail").unlink()
    printed = checkout.fab("dgx-train")
    assert "Stage 'decode' didn't change, skipping" in printed
    assert printed.splitlines()[-2:] == UNTIL_CLEAN


def test_lock_of_a_dead_connection_is_taken_over_by_its_checkout_only(
    new_checkout: NewCheckout, host: GpuHost
) -> None:
    """A shell on the host still waits for a laptop that is offline; other checkouts are refused."""
    checkout, other = new_checkout("clone"), new_checkout("other")
    owner = f"{getpass.getuser()}@{socket.gethostname()}"
    note = {"user": owner, "checkout": str(checkout.folder), "purpose": "fab dgx-sync", "since": "noon"}
    words = ["sh", "-c", HOLD, "fab", f"{checkout.workspace}/.fashionseg", json.dumps(note)]
    host.run(f"(sleep 60 | {shlex.join(words)}) > {checkout.workspace}/answer 2>&1 </dev/null &")
    host.run(f"until grep -q locked {checkout.workspace}/answer; do sleep 0.1; done")

    refused = other.fab("dgx-sync", expect=BUSY)
    assert f"is locked by {owner} ({checkout.folder}): fab dgx-sync, since noon" in refused
    assert "sent)" in checkout.fab("dgx-sync")
    assert "sent)" in other.fab("dgx-sync")
