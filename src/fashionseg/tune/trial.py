"""One trial: a temporary DVC experiment, monitored through the journal that its stages write to this checkout."""

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
from fashionseg.tracking.journal import Point, metric_points, stored_journals
from fashionseg.tracking.scores import SCORE

POLL_SECONDS = 1.0
GRACE_SECONDS = 60.0  # from Ctrl-C to the end of a training, which closes its workers


@dataclass(frozen=True)
class Outcome:
    """`score`: the competition score; None if the trial ended before the evaluation."""

    is_pruned: bool
    exit_status: int
    score: float | None


def run_trial(
    name: str,
    values: Mapping[str, Any],
    should_prune: Callable[[int, float], bool],
    note_pid: Callable[[int], None],
    root: Path,
) -> Outcome:
    """Runs the experiment `name` with `values` instead of those in params.yaml.

    Args:
        should_prune: called with each new epoch and its validation loss; True ends the trial.
        note_pid: called with the experiment's process id, for `end_orphan`.
        root: root of the checkout.
    """
    before = {journal.folder for journal in stored_journals(journal_folder())}
    log = log_file(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            experiment_command(name, values),
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # we forward Ctrl-C, and pruning also ends the stages
        )
    seen: dict[int, float] = {}
    is_pruned = False
    try:
        note_pid(process.pid)
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            losses = _losses(_points(name, before))
            for epoch in sorted(losses.keys() - seen.keys()):
                seen[epoch] = losses[epoch]
                is_pruned = is_pruned or should_prune(epoch, losses[epoch])
            if is_pruned:
                _interrupt(process)
    except BaseException:
        _interrupt(process)
        raise
    points = _points(name, before)
    if is_pruned:
        delete_states(_losses(points))
    scores = [point.value for point in points if point.name == SCORE]
    return Outcome(is_pruned, process.returncode, scores[-1] if scores else None)


def log_file(name: str) -> Path:
    """Output of the trial `name`, next to the locks of the studies."""
    return state_folder("tune") / f"{name}.log"


def experiment_command(name: str, values: Mapping[str, Any]) -> list[str]:
    """`dvc exp run` in a copy of the checkout, so that the workspace is not changed."""
    changes = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    options = [word for change in changes for word in ("-S", change)]
    return [sys.executable, "-m", "dvc", "exp", "run", "--temp", "-n", name, *options]


def delete_states(losses: Mapping[int, float]) -> None:
    """Deletes the resume state of a pruned trial, which is identified by its validation losses."""
    for path in state_folder("resume").glob("*/state.json"):
        history = json.loads(path.read_text(encoding="utf-8"))["history"]
        if history and all(losses.get(row["epoch"]) == row["val_loss"] for row in history):
            shutil.rmtree(path.parent, ignore_errors=True)


def end_orphan(name: str, pid: int) -> None:
    """Ends the experiment `name`, if it still runs after its search was killed."""
    deadline = time.monotonic() + GRACE_SECONDS
    sent = signal.SIGINT
    while _is_experiment(name, pid):  # the process id may have been reused
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
    """Ctrl-C for DVC and its stage, and kill -9 if they do not end in time."""
    for sent, patience in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGKILL, None)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, sent)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def _points(name: str, before: set[Path]) -> list[Point]:
    """All metric values in this experiment's journals; `before`: folders of the journals written before it."""
    points: list[Point] = []
    for journal in stored_journals(journal_folder()):
        if journal.folder not in before and journal.folder.name.startswith(f"{name}-"):
            header = journal.header()
            if header is not None and header["tags"].get("DVC_EXP_NAME") == name:
                points += metric_points(journal.records())
    return points


def _losses(points: list[Point]) -> dict[int, float]:
    """Validation loss by epoch."""
    return {point.step: point.value for point in points if point.name == "val_loss"}
