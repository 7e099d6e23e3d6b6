"""The entrypoint of the job's container as a plain process, and the parsers of the doctor."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from remote.entrypoint import remove_stale_locks, start_relay
from remote.settings import HostSettings

from remote import doctor

RUN = "import os, sys; from remote.entrypoint import run_session; sys.exit(run_session(sys.argv[1:], dict(os.environ)))"
REPOSITORY = Path(__file__).parents[2]


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *command], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (3, 3), (255, 1)])
def test_exit_status(status: int, expected: int) -> None:
    process = start("sh", "-c", f"exit {status}")
    process.communicate()
    assert process.returncode == expected


@pytest.mark.fault(table="processes", case="`docker stop` of the job", outcome="the training saves its state")
def test_docker_stop_interrupts_the_training() -> None:
    """A shell stands for `dvc`, its child for the training: both get the signal, and the child has time to save."""
    training = "trap 'echo saved; exit' INT; echo ready; while :; do sleep 0.05; done"
    process = start("sh", "-c", f'trap : INT; sh -c "{training}"; true')
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=60)
    assert printed == "saved\n"
    assert process.returncode == 130


def test_only_stale_locks_are_removed(tmp_path: Path) -> None:
    for name in ("rwlock", "lock", "btime"):
        (tmp_path / name).touch()
    remove_stale_locks(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["btime"]


def test_relay_listens_only_while_the_tunnel_is_up(tmp_path: Path) -> None:
    path = tmp_path / "s"
    port = start_relay(str(path))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with socket.socket(socket.AF_UNIX) as far:
        far.bind(str(path))
        far.listen()
        near = connect(port)
        connection, _ = far.accept()
        with near, connection:
            near.sendall(b"question")
            assert connection.recv(100) == b"question"
            connection.sendall(b"answer")
            assert near.recv(100) == b"answer"
    path.unlink()
    deadline = time.monotonic() + 60
    with pytest.raises(ConnectionRefusedError):
        while time.monotonic() < deadline:
            socket.create_connection(("127.0.0.1", port)).close()


def connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_doctor_parses_nvidia_smi() -> None:
    v100 = "Tesla V100-SXM2-32GB, 535.161.08, 7.0, 32768 MiB\n"
    check = doctor.check_gpus(0, v100 * 8)
    assert check.state == "ok"
    assert check.found == "8 x Tesla V100-SXM2-32GB (32768 MiB), driver 535.161.08, capability 7.0"
    old = doctor.check_gpus(0, v100.replace("535.161.08", "470.57.02"))
    assert old.state == "bad"
    assert "CUDA 12 needs driver 525" in old.advice
    assert doctor.check_gpus(9, "NVIDIA-SMI has failed because it couldn't communicate").state == "bad"


def test_doctor_parses_df() -> None:
    table = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/md1 900000000 1 {} 1% /raid\n"
    assert doctor.check_disk(table.format(500_000_000)).found == "512.0 GB free"
    assert doctor.check_disk(table.format(1_000_000)).state == "bad"


def test_doctor_skips_gpu_checks_without_gpus() -> None:
    settings = HostSettings(host="box", workspace="/srv/fashionseg", gpus="none")
    line = '{"name": "cuDNN", "state": "bad", "found": "OSError", "advice": ""}'
    [check] = doctor.parse_inside(settings, f"a banner\n{line}\n", "")
    assert check.state == "skipped"
    [check] = doctor.parse_inside(settings, "", "exec: python: not found")
    assert (check.state, check.found) == ("bad", "exec: python: not found")
