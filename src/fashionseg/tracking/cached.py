"""Pipeline runs that DVC took whole from its cache: no stage ran, so none logged. They are logged afterwards.

What a run needs lies in DVC's cache and in Git: parameters, histories, scores, plots and pictures. The journal gets
them as the stages would have written them, and the tag `history.from_cache` says that nothing was computed.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, flatten, load_params, read_yaml, to_dict
from fashionseg.tracking.identity import identify, journal_folder, tracked_params
from fashionseg.tracking.journal import Journal, stored_journals
from fashionseg.tracking.mirror import start_mirror
from fashionseg.tracking.stage_run import log_outputs, read_scores

LOCK = Path("dvc.lock")
METRICS = Path("reports/metrics.json")
NEEDED = (
    PARAMS_FILE,
    LOCK,
    METRICS,
    Path("models/heads/history.csv"),
    Path("models/finetuned/history.csv"),
)
WELCOME = (
    Path("reports/thresholds.json"),
    Path("reports/report.html"),
    Path("reports/plots"),
    Path("reports/pictures"),
)
_EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(\S+) ([0-9a-f]{40})")


@dataclass(frozen=True)
class Experiment:
    """A DVC experiment: its name in `dvc exp show`, the commit it was started from, and its own."""

    name: str
    baseline: str
    commit: str


def send_cached_runs(root: Path) -> None:
    """`log_cached_runs`, and what is new goes to MLflow."""
    before = {journal.folder for journal in stored_journals(journal_folder())}
    log_cached_runs(root)
    for journal in stored_journals(journal_folder()):
        if journal.folder not in before:
            name = (_first(journal) or {}).get("name", journal.folder.name)
            with start_mirror(journal, name, load_params(root / PARAMS_FILE).tracking.uri):
                pass


def log_cached_runs(root: Path) -> None:
    """Writes a journal for every DVC experiment, and the workspace, whose scores no journal has; a line for each."""
    for experiment in experiments(root):
        if not _is_logged(experiment):
            _log_experiment(root, experiment)
    log_cached_workspace(root)


def experiments(root: Path) -> list[Experiment]:
    """Those of all commits, as Git keeps them; none without Git."""
    command = ["git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps"]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    matches = (_EXPERIMENT.fullmatch(line) for line in found.splitlines())
    return [Experiment(match[3], match[1] + match[2], match[4]) for match in matches if match]


def log_cached_workspace(root: Path) -> None:
    """Logs the present outputs where they are what dvc.lock says and no run has these parameters and scores."""
    if not all((root / path).is_file() for path in NEEDED) or not _is_evaluated(root):
        return
    params = load_params(root / PARAMS_FILE)
    flat = tracked_params(params)
    scores = read_scores(root / METRICS)
    for journal in stored_journals(journal_folder()):
        first = _first(journal)
        if first is not None and first["params"] == flat and final_scores(journal) == scores:
            return
    say("no stage ran; its run is logged from DVC's cache")
    log_outputs(root, params, identify(flat))


def final_scores(journal: Journal) -> dict[str, float]:
    """The figures of the whole run, by dotted name; empty before the evaluation."""
    scores: dict[str, float] = {}
    for record in journal.records():
        if record["kind"] == "metrics" and record["step"] == 0:
            scores |= record["values"]
    return scores


def _is_logged(experiment: Experiment) -> bool:
    """Whether a run of that name and commit came to its scores."""
    for journal in stored_journals(journal_folder()):
        tags = (_first(journal) or {}).get("tags", {})
        is_it = (tags.get("DVC_EXP_NAME"), tags.get("git.commit")) == (experiment.name, experiment.baseline)
        if is_it and final_scores(journal):
            return True
    return False


def _log_experiment(root: Path, experiment: Experiment) -> None:
    from dvc.api import DVCFileSystem

    with tempfile.TemporaryDirectory(prefix="fashionseg-") as name:
        folder = Path(name)
        try:
            source = DVCFileSystem(str(root), rev=experiment.commit)
            for path in (*NEEDED, *WELCOME):
                if path in NEEDED or source.exists(path.as_posix()):
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source.get(path.as_posix(), str(target), recursive=True)
            params = load_params(folder / PARAMS_FILE)
        except (OSError, UserError) as error:  # made by other code, or its outputs are in no cache here
            say(f"{experiment.name}: no stage of it ran, and it cannot be logged: {error}")
            return
        identity = identify(tracked_params(params), experiment.name, experiment.baseline)
        say(f"no stage of {experiment.name} ran; its run is logged from DVC's cache")
        log_outputs(folder, params, identity)


def _is_evaluated(root: Path) -> bool:
    """Whether params.yaml is what dvc.lock was written with, and metrics.json what the evaluation left."""
    stages: dict[str, Any] = read_yaml(root / LOCK).get("stages", {})
    values = flatten(to_dict(load_params(root / PARAMS_FILE)))
    for stage in stages.values():
        locked = flatten(stage.get("params", {}).get(PARAMS_FILE.name, {}))
        if any(values.get(key) != value for key, value in locked.items()):
            return False
    outs = stages.get("evaluate", {}).get("outs", [])
    recorded = {out["path"]: out["md5"] for out in outs}
    return recorded.get(METRICS.as_posix()) == hashlib.md5((root / METRICS).read_bytes()).hexdigest()


def _first(journal: Journal) -> dict[str, Any] | None:
    return next((record for record in journal.records() if record["kind"] == "run"), None)
