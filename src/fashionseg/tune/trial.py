"""One trial: a temporary DVC experiment, watched through the journal that its stages write into this checkout."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashionseg.project import state_folder
from fashionseg.tracking.identity import journal_folder
from fashionseg.tracking.journal import Journal, stored_journals

POLL_SECONDS = 1.0
GRACE_SECONDS = 60.0  # from Ctrl-C to the end of a training, which finishes no epoch but closes its workers


@dataclass(frozen=True)
class Outcome:
    """`score`: the competition score, None where the trial did not come so far."""

    is_stopped: bool
    exit_status: int
    score: float | None


def run_trial(
    name: str,
    values: Mapping[str, Any],
    should_stop: Callable[[int, float], bool],
    note_pid: Callable[[int], None],
    root: Path,
) -> Outcome:
    """Runs the experiment `name` with `values` in place of those of params.yaml.

    Args:
        should_stop: called with each new epoch and its validation loss; True ends the trial.
        note_pid: called with the experiment's process id, for `end_orphan`.
        root: the checkout.
    """
    before = {journal.folder for journal in stored_journals(journal_folder())}
    log = state_folder("tune") / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            experiment_command(name, values),
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C here must end the trial through us, and a stop must end its stages too
        )
    seen: dict[int, float] = {}
    is_stopped = False
    try:
        note_pid(process.pid)
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            losses = _losses(_journals_of(name, before))
            for epoch in sorted(losses.keys() - seen.keys()):
                seen[epoch] = losses[epoch]
                is_stopped = is_stopped or should_stop(epoch, losses[epoch])
            if is_stopped:
                _interrupt(process)
    except BaseException:
        _interrupt(process)
        raise
    journals = _journals_of(name, before)
    if is_stopped:
        delete_states(_losses(journals))
    return Outcome(is_stopped, process.returncode, _score(journals))


def experiment_command(name: str, values: Mapping[str, Any]) -> list[str]:
    """`dvc exp run` in a copy of the checkout, so that the workspace stays as it is."""
    changes = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    options = [word for change in changes for word in ("-S", change)]
    return [sys.executable, "-m", "dvc", "exp", "run", "--temp", "-n", name, *options]


def delete_states(losses: Mapping[int, float]) -> None:
    """Deletes what a stopped trial kept to go on from: nobody will. Known by its validation losses."""
    for path in state_folder("resume").glob("*/state.json"):
        history = json.loads(path.read_text(encoding="utf-8"))["history"]
        if history and all(losses.get(row["epoch"]) == row["val_loss"] for row in history):
            shutil.rmtree(path.parent, ignore_errors=True)


def end_orphan(name: str, pid: int) -> None:
    """Ends the experiment `name` that went on alone after its sweep was killed; nothing where it has ended."""
    deadline = time.monotonic() + GRACE_SECONDS
    sent = signal.SIGINT
    while _is_experiment(name, pid):  # or its id belongs to somebody else by now
        os.killpg(pid, sent)
        time.sleep(POLL_SECONDS)
        if time.monotonic() > deadline:
            sent = signal.SIGKILL


def _is_experiment(name: str, pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"exp" in words and name.encode() in words


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C for DVC and its stage, then, if they do not end, kill -9."""
    for sent, patience in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, sent)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def _journals_of(name: str, before: set[Path]) -> list[Journal]:
    """Those of this experiment, that were not there before it."""
    found = []
    for journal in stored_journals(journal_folder()):
        if journal.folder not in before and journal.folder.name.startswith(f"{name}-"):
            first = next((record for record in journal.records() if record["kind"] == "run"), None)
            if first is not None and first["tags"].get("DVC_EXP_NAME") == name:
                found.append(journal)
    return found


def _losses(journals: list[Journal]) -> dict[int, float]:
    """Validation loss by epoch, as logged while training."""
    return {
        record["step"]: record["values"]["val_loss"]
        for journal in journals
        for record in journal.records()
        if record["kind"] == "metrics" and "val_loss" in record["values"]
    }


def _score(journals: list[Journal]) -> float | None:
    scores = [
        record["values"]["competition_score"]
        for journal in journals
        for record in journal.records()
        if record["kind"] == "metrics" and "competition_score" in record["values"]
    ]
    return scores[-1] if scores else None
