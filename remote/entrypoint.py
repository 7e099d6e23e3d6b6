"""PID 1 of the job's container: `python remote/entrypoint.py [--mlflow-socket PATH] -- [STAGE ...]`.

Uses only the standard library. Duties of PID 1:

- `dvc repro` runs in a new session, and SIGTERM (`docker stop`) becomes Ctrl-C for the whole session: DVC alone would
  die and orphan the training; this way the training saves its state and ends within seconds;
- orphans are reaped;
- MLflow's address for the stages is a port on the container's loopback, relayed to the unix socket of the reverse
  tunnel. The socket in the workspace belongs to one user and one job; a TCP port on the host would be open to all
  users, could be in use, and would stay bound by a dead connection.

Exit status: that of DVC, or 130 after a stop.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

EXIT_STOPPED = 130
EXIT_FAILED = 1
DVC_FAILED = 255  # ssh uses the same status for its failures
RELAY_POLL_SECONDS = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the stages as PID 1 of a container.")
    parser.add_argument("--mlflow-socket", help="unix socket of the reverse tunnel")
    parser.add_argument("stages", nargs="*", help="stages for `dvc repro` (default: all)")
    arguments = parser.parse_args()
    remove_stale_locks(Path(".dvc/tmp"))
    environment = dict(os.environ)
    if home := environment.get("HOME"):
        Path(home).mkdir(parents=True, exist_ok=True)
    if arguments.mlflow_socket:
        environment["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{start_relay(arguments.mlflow_socket)}"
    return run_session([sys.executable, "-m", "dvc", "repro", *arguments.stages], environment)


def remove_stale_locks(folder: Path) -> None:
    """Removes DVC's locks of a killed job, which DVC itself keeps if any process in the new container has the holder's
    process id. No other container uses the workspace.
    """
    for name in ("rwlock", "rwlock.lock", "lock"):
        (folder / name).unlink(missing_ok=True)


def run_session(command: list[str], environment: dict[str, str]) -> int:
    """Runs `command` in a new session and forwards SIGTERM and SIGINT to the session as SIGINT; returns the status."""
    child = subprocess.Popen(command, env=environment, stderr=subprocess.STDOUT, start_new_session=True)
    is_stopped = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal is_stopped
        is_stopped = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGINT)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while True:
        pid, wait_status = os.wait()
        if pid == child.pid:
            break
    status = os.waitstatus_to_exitcode(wait_status)
    child.returncode = status  # already waited for
    if is_stopped:
        return EXIT_STOPPED
    return EXIT_FAILED if status == DVC_FAILED or status < 0 else status


def start_relay(socket_path: str) -> int:
    """Relays a loopback port to the unix socket, in a thread; returns the port.

    The port is open only while the socket file exists, that is, while the tunnel is up, so that the stages notice
    immediately whether MLflow is reachable.
    """
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(socket_path)
        except OSError:  # the socket file of a dead connection
            writer.close()
            return
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))

    async def serve() -> None:
        while True:
            if Path(socket_path).exists():
                with contextlib.suppress(OSError):  # port in use: no live losses
                    server = await asyncio.start_server(handle, "127.0.0.1", port)
                    while Path(socket_path).exists():
                        await asyncio.sleep(RELAY_POLL_SECONDS)
                    server.close()
            await asyncio.sleep(RELAY_POLL_SECONDS)

    threading.Thread(target=lambda: asyncio.run(serve()), name="mlflow-relay", daemon=True).start()
    return port


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    sys.exit(main())
