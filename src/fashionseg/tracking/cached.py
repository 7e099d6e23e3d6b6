"""Pipeline runs restored from DVC's cache: no stage ran, so no stage logged; their journals are written afterwards.

Parameters, histories, scores, plots and pictures are in DVC's cache and in Git. The journal gets them as the stages
would have written them, and the tag `history.from_cache` marks that nothing was computed.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, flatten, load_params, to_dict
from fashionseg.tracking.dvc_lock import LOCK, dvc_md5, locked_hashes, locked_stages
from fashionseg.tracking.identity import identify, journal_folder, tracked_params
from fashionseg.tracking.journal import stored_journals
from fashionseg.tracking.mirror import start_mirror
from fashionseg.tracking.scores import final_scores, read_scores
from fashionseg.tracking.stage_run import log_outputs

METRICS = Path("reports/metrics.json")
REQUIRED = (
    PARAMS_FILE,
    LOCK,
    METRICS,
    Path("models/heads/history.csv"),
    Path("models/finetuned/history.csv"),
)
OPTIONAL = (
    Path("reports/thresholds.json"),
    Path("reports/report.html"),
    Path("reports/plots"),
    Path("reports/pictures"),
)
_EXPERIMENT = re.compile(r"refs/exps/([0-9a-f]{2})/([0-9a-f]{38})/(\S+) ([0-9a-f]{40})")


@dataclass(frozen=True)
class Experiment:
    """A DVC experiment: name in `dvc exp show`, commit it was started from, and commit of the experiment."""

    name: str
    baseline: str
    commit: str


def send_cached_runs(root: Path) -> None:
    """Logs cached runs (`log_cached_runs`) and sends the new journals to MLflow."""
    before = {journal.folder for journal in stored_journals(journal_folder())}
    log_cached_runs(root)
    for journal in stored_journals(journal_folder()):
        if journal.folder not in before:
            name = (journal.header() or {}).get("name", journal.folder.name)
            with start_mirror(journal, name, load_params(root / PARAMS_FILE).tracking.uri):
                pass


def log_cached_runs(root: Path) -> None:
    """Writes a journal for each DVC experiment, and for the workspace, whose scores are in no journal."""
    for experiment in experiments(root):
        if not _is_logged(experiment):
            _log_experiment(root, experiment)
    log_cached_workspace(root)


def experiments(root: Path) -> list[Experiment]:
    """DVC experiments of all commits, from Git's references; none without Git."""
    command = ["git", "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps"]
    try:
        found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    matches = (_EXPERIMENT.fullmatch(line) for line in found.splitlines())
    return [Experiment(match[3], match[1] + match[2], match[4]) for match in matches if match]


def log_cached_workspace(root: Path) -> None:
    """Logs the current outputs if they match dvc.lock and no run has these parameters and scores."""
    if not all((root / path).is_file() for path in REQUIRED) or not _is_evaluated(root):
        return
    params = load_params(root / PARAMS_FILE)
    flat = tracked_params(params)
    scores = read_scores(root / METRICS)
    for journal in stored_journals(journal_folder()):
        header = journal.header()
        if header is not None and header["params"] == flat and final_scores(journal) == scores:
            return
    say("no stage ran; the run is logged from DVC's cache")
    log_outputs(root, params, identify(flat))


def _is_logged(experiment: Experiment) -> bool:
    """Whether a run of this name and baseline has scores."""
    for journal in stored_journals(journal_folder()):
        tags = (journal.header() or {}).get("tags", {})
        is_same = (tags.get("DVC_EXP_NAME"), tags.get("git.commit")) == (experiment.name, experiment.baseline)
        if is_same and final_scores(journal):
            return True
    return False


def _log_experiment(root: Path, experiment: Experiment) -> None:
    from dvc.api import DVCFileSystem

    with tempfile.TemporaryDirectory(prefix="fashionseg-") as name:
        folder = Path(name)
        try:
            source = DVCFileSystem(str(root), rev=experiment.commit)
            for path in (*REQUIRED, *OPTIONAL):
                if path in REQUIRED or source.exists(path.as_posix()):
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source.get(path.as_posix(), str(target), recursive=True)
            params = load_params(folder / PARAMS_FILE)
        except (OSError, UserError) as error:  # made by other code, or its outputs are not in the local cache
            say(f"{experiment.name}: no stage ran, and the run cannot be logged from DVC's cache: {error}")
            return
        identity = identify(tracked_params(params), experiment.name, experiment.baseline)
        say(f"{experiment.name}: no stage ran; the run is logged from DVC's cache")
        log_outputs(folder, params, identity)


def _is_evaluated(root: Path) -> bool:
    """Whether dvc.lock was written with this params.yaml and records this metrics.json."""
    stages = locked_stages(root)
    values = flatten(to_dict(load_params(root / PARAMS_FILE)))
    for stage in stages.values():
        locked = flatten(stage.get("params", {}).get(PARAMS_FILE.name, {}))
        if any(values.get(key) != value for key, value in locked.items()):
            return False
    return locked_hashes(stages.get("evaluate", {})).get(METRICS.as_posix()) == dvc_md5(root / METRICS)
