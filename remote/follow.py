"""Follows a job's log live, with a tunnel to the user's MLflow, and reconnects after lost connections."""

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
from remote import failures, job
from remote.runner import Host

RETRY_SECONDS = 2.0


def follow(host: Host, write: Callable[[bytes], None]) -> job.Job | None:
    """Prints the job's log until the job ends; returns the ended job, or None if the job was removed meanwhile.

    After a lost connection it reconnects for up to `reconnect_seconds` and resumes the log where it was cut.

    Raises:
        ConnectionLost: reconnecting failed; the job keeps running.
        KeyboardInterrupt: Ctrl-C; the job keeps running.
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
                    f"{error}. The job keeps running; attach again with `fab dgx-train` or `fab dgx-logs`"
                ) from None
            say(f"{error}. The job keeps running; reconnecting")
            time.sleep(RETRY_SECONDS)
            continue
        lost_at = None
        if found is None or not found.is_running:
            return found
        if status != 0:
            say("connection lost; following the log again")
        # A short wait also where the log has ended just before the container.
        time.sleep(RETRY_SECONDS if status != 0 else 0.2)


def live_mlflow(address: str | None) -> str | None:
    """`host:port` of the MLflow server at `address` if it responds, else None; prints which."""
    if address is None:
        return None
    if not answers(address):
        say(
            f"MLflow: no server at {address} (`make ui` starts one); losses are imported when the job has ended"
        )
        return None
    say(f"MLflow: losses appear live at {address}")
    return urlsplit(address).netloc


def answers(address: str) -> bool:
    """Whether an MLflow server responds at `address`."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=3) as answer:
            return answer.status == 200
    except (URLError, OSError, ValueError):
        return False


def _start(host: Host, mlflow: str | None) -> Popen[bytes]:
    words = job.log_words(host, ["--follow"])
    if mlflow:
        # Over another connection, because ssh binds the socket before it runs the command.
        try:
            job.remove_tunnel(host)
        except (failures.ConnectionLost, failures.HostUnreachable):
            mlflow = None
    return host.follow(words, mlflow)


def _copy_log(process: Popen[bytes], skip: int, write: Callable[[bytes], None]) -> tuple[int, int]:
    """Copies the output of `process` to `write`, except for the first `skip` bytes, which were shown before.

    Returns:
        Exit status and number of bytes written.
    """
    assert isinstance(process.stdout, io.BufferedReader)
    noise = threading.Thread(target=_report_tunnel_failure, args=(process,), daemon=True)
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


def _report_tunnel_failure(process: Popen[bytes]) -> None:
    """Reports a refused tunnel; the other messages of ssh are dropped."""
    assert process.stderr is not None
    with process.stderr as stderr:
        for line in stderr:
            if b"forwarding failed" in line or b"forwarding request failed" in line:
                say("MLflow: the host refused the tunnel; losses are imported when the job has ended")


def print_bytes(data: bytes) -> None:
    """Writes `data` to standard output, unbuffered."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
