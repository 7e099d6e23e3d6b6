"""Following a job's log live, with the tunnel to the MLflow that the user watches, across cut connections."""

from __future__ import annotations

import io
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from subprocess import Popen
from urllib.error import URLError
from urllib.parse import urlsplit

from fashionseg.console import say
from remote import commands, failures, job
from remote.runner import Host

RETRY_SECONDS = 2.0


def follow(host: Host, write: Callable[[bytes], None]) -> job.Job | None:
    """Prints the job's log until the job ends; returns the ended job, or None when somebody removed it meanwhile.

    A cut connection is opened again for `reconnect_seconds`; the log goes on where it was cut.

    Raises:
        ConnectionLost: no connection for that long. The job goes on.
        KeyboardInterrupt: the user has seen enough. The job goes on.
    """
    mlflow = live_mlflow(host.settings.mlflow)
    shown = 0
    lost_at: float | None = None
    while True:
        status, written = _copy_log(_start(host, mlflow), shown, write)
        shown += written
        try:
            found = job.find(host)
        except (failures.ConnectionLost, failures.HostUnreachable) as error:
            lost_at = time.monotonic() if lost_at is None else lost_at
            if time.monotonic() - lost_at >= host.settings.reconnect_seconds:
                raise failures.ConnectionLost(
                    f"{error}. The job goes on; `fab dgx-train` or `fab dgx-logs` attaches to it again"
                ) from None
            say(f"{error}. The job goes on; trying again")
            time.sleep(RETRY_SECONDS)
            continue
        lost_at = None
        if found is None or not found.is_running:
            return found
        if status != 0:
            say("the connection was cut; following again")
        # Also where the log has ended an instant before the container.
        time.sleep(RETRY_SECONDS if status != 0 else 0.2)


def live_mlflow(address: str | None) -> str | None:
    """`host:port` of the MLflow server at `address` when one answers there, else None; says which."""
    if address is None:
        return None
    if not answers(address):
        say(f"MLflow: none at {address} (`make ui` starts one); losses are imported when the job has ended")
        return None
    say(f"MLflow: losses appear live at {address}")
    return urlsplit(address).netloc


def answers(address: str) -> bool:
    """Whether an MLflow server answers at `address`."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=3) as answer:
            return answer.status == 200
    except (URLError, OSError, ValueError):
        return False


def _start(host: Host, mlflow: str | None) -> Popen[bytes]:
    words = job.log_words(host, ["--follow"])
    if mlflow:
        # The socket file of a dead connection would refuse the new tunnel; ssh binds before it runs the command,
        # so it has to be another connection that removes it.
        socket = f"{host.settings.state}/{commands.SOCKET}"
        try:
            host.run(["rm", "-f", socket], "removing the old tunnel")
        except (failures.ConnectionLost, failures.HostUnreachable):
            mlflow = None
    return host.follow(words, mlflow)


def _copy_log(process: Popen[bytes], skip: int, write: Callable[[bytes], None]) -> tuple[int, int]:
    """Writes what the process prints, but for the first `skip` bytes, which were shown before.

    Returns its exit status and how many bytes were written.
    """
    assert isinstance(process.stdout, io.BufferedReader)
    noise = threading.Thread(target=_tell_tunnel_failure, args=(process,), daemon=True)
    noise.start()
    written = 0
    try:
        while data := process.stdout.read1():
            fresh = data[skip:]
            skip = max(0, skip - len(data))
            if fresh:
                write(fresh)
                written += len(fresh)
        return process.wait(), written
    finally:
        process.terminate()
        process.wait()
        noise.join(1)
        process.stdout.close()


def _tell_tunnel_failure(process: Popen[bytes]) -> None:
    """ssh's own words are noise, but for these."""
    assert process.stderr is not None
    with process.stderr as stderr:
        for line in stderr:
            if b"forwarding failed" in line or b"forwarding request failed" in line:
                say("MLflow: the host refuses the tunnel; losses are imported when the job has ended")


def print_bytes(data: bytes) -> None:
    """To standard output at once, as they are."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
