"""One setting run with several values of one parameter, such as the seed, each as a DVC experiment.

A repeat whose experiment exists, with the same parameters and code, is not run again, whoever ran it; an interrupted
one resumes from its last completed epoch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.experiments.results import PHOTO_SCORES, REPORTS, Results, read_commit
from fashionseg.params import PARAMS_FILE, Params, flatten
from fashionseg.params.changes import with_changes
from fashionseg.params.yaml_file import parse_yaml
from fashionseg.storage.file_lock import file_lock
from fashionseg.tracking.git_refs import (
    Experiment,
    file_at,
    has_same_files,
    list_experiments,
    require_commit,
)
from fashionseg.tracking.identity import journal_folder, tracked_params
from fashionseg.tracking.journal import stored_journals
from fashionseg.tracking.stage_run import CACHE
from fashionseg.tune.trial import end_orphan, log_file, run_trial

CODE = ("src", "dvc.yaml")  # what a result depends on besides parameters and data
_WITHOUT_EFFECT = ("loader.", "tracking.", "submit.")  # on scores


@dataclass(frozen=True, eq=False)
class Repeat:
    """A finished run of the setting.

    Attributes:
        value: of the parameter that varies.
        seconds: of training and evaluation; None where this checkout did not run them.
    """

    value: Any
    experiment: str
    commit: str
    seconds: float | None
    results: Results


def run_repeats(
    root: Path, params: Params, changes: Mapping[str, Any], key: str, values: Sequence[Any], prefix: str
) -> list[Repeat]:
    """Runs the setting `params` with `changes` once for each of `values` of the parameter `key`.

    Args:
        prefix: of the names of the experiments, before the value; empty for a name made of the parameters.

    Raises:
        UserError: an invalid change, an experiment that failed, or another process that runs the same setting.
    """
    if key in changes:
        raise UserError(f"{key}: cannot be set, it is what varies between the runs")
    wanted = {value: _scored(with_changes(params, {**changes, key: value})) for value in values}
    require_commit(root)
    prefix = prefix or f"{key.rpartition('.')[2]}-{_digest(wanted[values[0]], key)}"
    with file_lock(log_file(prefix).with_suffix(".lock")) as is_locked:
        if not is_locked:
            raise UserError(f"{prefix}: another process runs this setting; wait for it or stop it")
        known = _evaluated(root)
        repeats = []
        for value in values:
            found = _find(known, wanted[value])
            if found is None:
                name = _free_name(root, f"{prefix}-{value}")
                _run(root, name, {**changes, key: value})
                known = _evaluated(root)
                if (found := _find(known, wanted[value])) is None:
                    raise UserError(
                        f"{name}: the experiment ended without {REPORTS / PHOTO_SCORES}; see {log_file(name)}"
                    )
            else:
                say(f"{found.name}: has been run with these parameters and this code")
            results = read_commit(root, found.name, found.commit)
            repeats.append(Repeat(value, found.name, found.commit, _seconds(found), results))
    return repeats


def _run(root: Path, name: str, values: Mapping[str, Any]) -> None:
    pid_file = log_file(name).with_suffix(".pid")
    if pid_file.is_file():  # killed without its experiment, which would write the same state
        end_orphan(name, int(pid_file.read_text()), root)
    say(
        f"{name}: {', '.join(f'{key}={json.dumps(value)}' for key, value in values.items())}; log: {log_file(name)}"
    )
    _, exit_status, _ = run_trial(
        name,
        values,
        should_prune=lambda epoch, loss: False,
        note_pid=lambda pid: _write_pid(pid_file, pid),
        root=root,
    )
    pid_file.unlink(missing_ok=True)
    if exit_status:
        raise UserError(
            f"{name}: failed with exit status {exit_status}; see {log_file(name)}; the same command resumes"
        )


def _write_pid(path: Path, pid: int) -> None:
    path.write_text(str(pid))


def _evaluated(root: Path) -> list[tuple[Experiment, dict[str, Any]]]:
    """The experiments of this code with results, and their parameters by dotted name."""
    found = []
    for experiment in list_experiments(root):
        text = file_at(root, experiment.commit, PARAMS_FILE)
        has_scores = file_at(root, experiment.commit, REPORTS / PHOTO_SCORES) is not None
        if text is not None and has_scores and has_same_files(root, experiment.commit, *CODE):
            found.append((experiment, flatten(parse_yaml(text, Path(experiment.name, PARAMS_FILE)))))
    return found


def _find(known: Sequence[tuple[Experiment, dict[str, Any]]], wanted: Mapping[str, Any]) -> Experiment | None:
    return next((experiment for experiment, params in known if _with_effect(params) == wanted), None)


def _free_name(root: Path, name: str) -> str:
    """`name`, or `name`.2 and so on where an experiment of other parameters or code has it."""
    taken = {experiment.name for experiment in list_experiments(root)}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}.{number}"
    return free


def _scored(params: Params) -> dict[str, Any]:
    return _with_effect(tracked_params(params))


def _with_effect(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that scores depend on."""
    return {key: value for key, value in params.items() if not key.startswith(_WITHOUT_EFFECT)}


def _digest(params: Mapping[str, Any], key: str) -> str:
    fixed = {name: value for name, value in params.items() if name != key}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:6]


def _seconds(experiment: Experiment) -> float | None:
    """Time between begin and end of the stages in the experiment's journals; None where no stage ran here.

    The time that a killed stage took before it was resumed is not in it.
    """
    milliseconds = []
    for journal in stored_journals(journal_folder()):
        tags = journal.header().get("tags", {})
        if (tags.get("DVC_EXP_NAME"), tags.get("git.commit")) != (experiment.name, experiment.baseline):
            continue
        begun = 0
        for record in journal.records():
            if record["kind"] == "begin":
                begun = record["time"]
            elif record["kind"] == "end" and record["stage"] != CACHE:
                milliseconds.append(record["time"] - begun)
    return sum(milliseconds) / 1000 if milliseconds else None
