"""A second process that sends a journal to MLflow while its stage runs.

The stage holds one end of a pipe and writes nothing: when the pipe closes, at the stage's end or death, the mirror
sends the remaining records and ends. MLflow's import (seconds) and waits for a slow server happen there, at low
priority. After a failure the mirror pauses for a minute; records that were not sent are sent by the next stage of the
run, or by `fashionseg import-journals`.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.tracking.address import is_listening, public_uri, require_server, sqlite_file, tracking_uri
from fashionseg.tracking.journal import Journal, last_event

POLL_SECONDS = 2.0
PAUSE_AFTER_FAILURE_SECONDS = 60.0
DRAIN_SECONDS = 30.0  # how long a stage waits at its end for a mirror that is still sending
SWITCH = "FASHIONSEG_TRACKING"  # `off`: the journal is written but not sent


@contextmanager
def start_mirror(journal: Journal, name: str, configured_uri: str | None) -> Iterator[None]:
    """Mirrors `journal` while the block runs; prints the run's address, or that MLflow was not reached."""
    if os.environ.get(SWITCH) == "off":
        yield
        return
    uri = tracking_uri(configured_uri)
    say(f"MLflow: {public_uri(uri)}, run {name}")
    with (journal.folder / "mirror.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fashionseg.tracking", str(journal.folder), str(os.getpid())],
            # Not on the command line, which every user of the machine can read: a database's address has a password.
            env=os.environ | {"MLFLOW_TRACKING_URI": uri},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the stage; the mirror then sends the remaining records
        )
    assert process.stdin is not None
    try:
        yield
    except BaseException:
        process.stdin.close()  # no wait after Ctrl-C: the mirror sends the rest alone, and ends
        raise
    process.stdin.close()
    try:
        is_sent = process.wait(DRAIN_SECONDS) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        is_sent = False
    if not is_sent:
        say(
            f"MLflow: {_reason(journal, uri)}; the run is stored in {journal.folder}, send it later with "
            "`fashionseg import-journals`"
        )


def _reason(journal: Journal, uri: str) -> str:
    """Why the mirror of the journal failed: for a database, its last line about it."""
    if sqlite_file(uri) is None:
        return "not reached"
    log = (journal.folder / "mirror.log").read_text(encoding="utf-8", errors="replace")
    lines = [line for line in log.splitlines() if line.startswith("MLflow: ")]
    return lines[-1].removeprefix("MLflow: ") if lines else "not reached"


def send(journal: Journal, uri: str) -> str | None:
    """Sends the records of `journal` that `uri` lacks.

    Returns:
        None, or in one line why it failed.
    """
    if not is_listening(uri):
        return f"no server listens at {public_uri(uri)}"
    try:
        # Imported late: MLflow reads its settings from the environment at import.
        from fashionseg.tracking.mlflow_store import replay

        replay(journal, uri)
    except (
        Exception
    ) as error:  # MLflow, its database and its server raise anything; the journal keeps the records
        return describe_failure(error, uri)
    return None


def require_store(uri: str) -> None:
    """Raises UserError where no server listens at `uri`, or its database cannot be used: what helps, in one line."""
    require_server(uri)
    from fashionseg.tracking.mlflow_store import MlflowClient

    try:
        MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    except Exception as error:  # MLflow, its database and its server raise anything
        raise UserError(f"MLflow: {describe_failure(error, uri)}") from None


def describe_failure(error: Exception, uri: str) -> str:
    """One line for a store that refuses records: what is wrong, and the command that helps."""
    text = " ".join(str(error).split()).replace(uri, public_uri(uri)) or type(error).__name__
    database = sqlite_file(uri)
    name = public_uri(uri) if database is None else str(database)
    renew = f"`mv {name} {name}.old && fashionseg import-journals` writes a new one"
    if isinstance(error, UserError):
        return text
    if "out-of-date database schema" in text or "Can't locate revision" in text:
        newer = f"; if it is newer, {renew}" if database is not None else ""
        return (
            f"{name} is of another version of MLflow; if it is older, back it up and `mlflow db upgrade "
            f"{public_uri(uri)}`{newer}"
        )
    if database is not None and ("not a database" in text or "malformed" in text):
        return f"{name} is damaged; {renew}"
    return f"{type(error).__name__}: {text[:300]}"


def mirror(journal: Journal, uri: str, until_closed: int, stage_pid: int) -> bool:
    """Sends `journal` until the file descriptor `until_closed` is closed by the process `stage_pid`, or by its death.

    Returns whether all records were sent.
    """
    failed_at = -PAUSE_AFTER_FAILURE_SECONDS
    is_open = True
    sent_bytes = 0
    while is_open:
        readable, _, _ = select.select([until_closed], [], [], POLL_SECONDS)
        is_open = not (readable and os.read(until_closed, 1024) == b"")
        if not is_open:
            note_killed_stage(journal, stage_pid)
        is_paused = time.monotonic() - failed_at < PAUSE_AFTER_FAILURE_SECONDS
        written_bytes = journal.path.stat().st_size
        if is_paused or written_bytes == sent_bytes:
            continue
        failure = send(journal, uri)
        if failure is None:
            sent_bytes = written_bytes
        else:
            print(f"MLflow: {failure}", file=sys.stderr, flush=True)
            failed_at = time.monotonic()
    return sent_bytes == journal.path.stat().st_size


def note_killed_stage(journal: Journal, stage_pid: int) -> None:
    """Records the end KILLED for a stage that died without an `end` record (kill -9, out of memory).

    Only if no stage began after it: the stage may have been restarted.
    """
    event = last_event(journal.records())
    if event is not None and event["kind"] == "begin" and event["pid"] == stage_pid:
        journal.append("end", stage=event["stage"], status="KILLED")
