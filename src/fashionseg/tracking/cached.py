"""Pipeline runs restored from DVC's cache: no stage ran, so no stage logged; their journals are written afterwards.

Parameters, histories, scores, plots and pictures are in DVC's cache and in Git. The journal gets them as the stages
would have written them, and the tag `history.from_cache` marks that nothing was computed.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, flatten, load_params, to_dict
from fashionseg.tracking.dvc_lock import LOCK, dvc_md5, locked_hashes, locked_stages
from fashionseg.tracking.git_refs import Experiment, list_experiments
from fashionseg.tracking.identity import journal_folder, tracked_params
from fashionseg.tracking.journal import Journal, stored_journals
from fashionseg.tracking.mirror import start_mirror
from fashionseg.tracking.scores import final_scores, journals_with, read_scores
from fashionseg.tracking.stage_run import HISTORIES, REPORTS, log_outputs

METRICS = Path("reports/metrics.json")
REQUIRED = (PARAMS_FILE, LOCK, METRICS, *HISTORIES)


def send_cached_runs(root: Path) -> None:
    """Logs cached runs (`log_cached_runs`) and sends the new journals to MLflow."""
    for journal in log_cached_runs(root):
        name = journal.header().get("name", journal.folder.name)
        with start_mirror(journal, name, load_params(root / PARAMS_FILE).tracking.uri):
            pass


def log_cached_runs(root: Path) -> list[Journal]:
    """Writes and returns a journal for each DVC experiment, and for the workspace, whose scores are in no journal."""
    scored = [journal for journal in stored_journals(journal_folder()) if final_scores(journal)]
    tags = [journal.header().get("tags", {}) for journal in scored]
    logged = {(each.get("DVC_EXP_NAME"), each.get("git.commit")) for each in tags}
    written = [
        _log_experiment(root, experiment)
        for experiment in list_experiments(root)
        if (experiment.name, experiment.baseline) not in logged
    ]
    return [journal for journal in (*written, _log_workspace(root)) if journal is not None]


def _log_workspace(root: Path) -> Journal | None:
    """Logs the current outputs if they match dvc.lock and no run has these parameters and scores."""
    if not all((root / path).is_file() for path in REQUIRED) or not _is_evaluated(root):
        return None
    params = load_params(root / PARAMS_FILE)
    flat = tracked_params(params)
    if any(journal.header().get("params") == flat for journal in journals_with(read_scores(root / METRICS))):
        return None
    say("no stage ran; the run is logged from DVC's cache")
    return log_outputs(root, params)


def _log_experiment(root: Path, experiment: Experiment) -> Journal | None:
    from dvc.api import DVCFileSystem

    name = experiment.name
    with tempfile.TemporaryDirectory(prefix="fashionseg-") as temporary:
        folder = Path(temporary)
        try:
            source = DVCFileSystem(str(root), rev=experiment.commit)
            for path in dict.fromkeys((*REQUIRED, *(Path("reports", name) for name in REPORTS))):
                if path in REQUIRED or source.exists(path.as_posix()):
                    target = folder / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source.get(path.as_posix(), str(target), recursive=True)
            params = load_params(folder / PARAMS_FILE)
        except (OSError, UserError) as error:  # made by other code, or its outputs are not in the local cache
            say(f"{name}: no stage ran, and the run cannot be logged from DVC's cache: {error}")
            return None
        say(f"{name}: no stage ran; the run is logged from DVC's cache")
        return log_outputs(folder, params, name, experiment.baseline)


def _is_evaluated(root: Path) -> bool:
    """Whether dvc.lock was written with this params.yaml and records this metrics.json."""
    stages = locked_stages(root)
    values = flatten(to_dict(load_params(root / PARAMS_FILE)))
    for stage in stages.values():
        locked = flatten(stage.get("params", {}).get(PARAMS_FILE.name, {}))
        if any(values.get(key) != value for key, value in locked.items()):
            return False
    return locked_hashes(stages.get("evaluate", {})).get(METRICS.as_posix()) == dvc_md5(root / METRICS)
