"""One trial: a temporary DVC experiment, monitored through the journal that its stages write to this checkout."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fashionseg.project import state_folder
from fashionseg.tracking.git_refs import drop_unstarted
from fashionseg.tracking.identity import journal_folder
from fashionseg.tracking.journal import Point, metric_points, stored_journals
from fashionseg.tracking.scores import SCORE

POLL_SECONDS = 0.5
# From Ctrl-C to the end of a training, which closes its workers. Another Ctrl-C would interrupt that, so it is sent
# only where the first was lost.
GRACE_SECONDS = 60.0
ENDINGS = ((signal.SIGINT, GRACE_SECONDS), (signal.SIGINT, GRACE_SECONDS), (signal.SIGKILL, math.inf))


def run_trial(
    name: str,
    values: Mapping[str, Any],
    should_prune: Callable[[int, float], bool],
    note_pid: Callable[[int], None],
    root: Path,
) -> tuple[bool, int, float | None]:
    """Runs the experiment `name`, with `values` instead of those in params.yaml, in a copy of the checkout.

    Returns whether it was pruned, its exit status, and the competition score; None if it ended before the evaluation.

    Args:
        should_prune: called with each new epoch and its validation loss; True ends the trial.
        note_pid: called with the experiment's process id, for `end_orphan`.
        root: root of the checkout.
    """
    before = {journal.folder for journal in stored_journals(journal_folder())}
    changes = [word for key, value in values.items() for word in ("-S", f"{key}={json.dumps(value)}")]
    log = log_file(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    # A command that a script starts in the background ignores Ctrl-C, and so would the experiment that we end by it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "exp", "run", "--temp", "-n", name, *changes],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # we forward Ctrl-C, and pruning also ends the stages
        )
    seen: set[int] = set()
    is_pruned = False
    try:
        note_pid(process.pid)
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            losses = _losses(_points(name, before))
            for epoch in sorted(losses.keys() - seen):
                seen.add(epoch)
                is_pruned = is_pruned or should_prune(epoch, losses[epoch])
            if is_pruned:
                _interrupt(process, name, root)
    except BaseException:
        _interrupt(process, name, root)
        raise
    points = _points(name, before)
    if is_pruned:
        delete_states(_losses(points))
    scores = [point.value for point in points if point.name == SCORE]
    return is_pruned, process.returncode, scores[-1] if scores else None


def log_file(name: str) -> Path:
    """Output of the trial `name`, next to the locks of the studies."""
    return state_folder("tune") / f"{name}.log"


def delete_states(losses: Mapping[int, float]) -> None:
    """Deletes the resume state of a pruned trial, which is identified by its validation losses."""
    for path in list(state_folder("resume").glob("*/epoch-*/state.json")):
        try:
            history = json.loads(path.read_text(encoding="utf-8"))["history"]
        except (OSError, ValueError):
            continue  # deleted with a newer epoch, or damaged: the training that resumes it reports it
        if history and all(losses.get(row["epoch"]) == row["val_loss"] for row in history):
            shutil.rmtree(path.parents[1], ignore_errors=True)


def end_orphan(name: str, pid: int, root: Path) -> None:
    """Ends the experiment `name` of a search that was killed: the process, if it still runs, and what DVC keeps of it.

    Args:
        root: root of the checkout.
    """
    _end(pid, name, root, lambda: _is_experiment(name, pid))  # the process id may have been reused


def _is_experiment(name: str, pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"exp" in words and name.encode() in words


def _interrupt(process: subprocess.Popen[bytes], name: str, root: Path) -> None:
    _end(process.pid, name, root, lambda: process.poll() is None)


def _end(pid: int, name: str, root: Path, is_running: Callable[[], bool]) -> None:
    """Ctrl-C for DVC and its stage, and kill -9 if they do not end in time."""
    for sent, patience in ENDINGS:
        if is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, sent)
        deadline = time.monotonic() + patience
        while is_running() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    drop_unstarted(root, name)


def _points(name: str, before: set[Path]) -> list[Point]:
    """All metric values in this experiment's journals; `before`: folders of the journals written before it."""
    points: list[Point] = []
    for journal in stored_journals(journal_folder()):
        is_new = journal.folder not in before and journal.folder.name.startswith(f"{name}-")
        if is_new and journal.header().get("tags", {}).get("DVC_EXP_NAME") == name:
            points += metric_points(journal.records())
    return points


def _losses(points: list[Point]) -> dict[int, float]:
    """Validation loss by epoch."""
    return {point.step: point.value for point in points if point.name == "val_loss"}
