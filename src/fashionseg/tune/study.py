"""The sweep: trials until there are enough, kept in a database after each step."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import flatten
from fashionseg.project import STATE_FOLDER, state_folder
from fashionseg.tune.settings import Choices, Range, Tuning
from fashionseg.tune.trial import end_orphan, run_trial

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
MAX_FAILURES = 3  # in a row: then it is not the parameters


def tune(tuning: Tuning, trials: int, params: dict[str, Any], root: Path) -> optuna.Study:
    """Runs what the study lacks of `trials`, those stopped early counted too.

    Raises:
        UserError: the study was made for something else, or trials keep failing.
    """
    study = open_study(tuning, params)
    with _only_sweep(tuning.name):
        requeue_interrupted(study)
        failures = 0
        while sum(trial.state in DONE for trial in study.trials) < trials:
            state = _run_next(study, tuning, root)
            failures = failures + 1 if state == TrialState.FAIL else 0
            if failures == MAX_FAILURES:
                raise UserError(f"{MAX_FAILURES} trials failed in a row; see {state_folder('tune')}")
    return study


def open_study(tuning: Tuning, params: dict[str, Any]) -> optuna.Study:
    """The study in `.fashionseg/tune.db`, made if it is not there.

    Raises:
        UserError: it was made with another search space or other values around it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    database = state_folder("tune.db")
    database.parent.mkdir(exist_ok=True)
    study = optuna.create_study(
        study_name=tuning.name,
        storage=f"sqlite:///{database}",
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=tuning.pruning.startup_trials, n_warmup_steps=tuning.pruning.warmup_epochs
        ),
    )
    # Not the first numbers again when a study goes on.
    study.sampler = optuna.samplers.TPESampler(seed=tuning.seed + len(study.trials), multivariate=False)
    key = _comparable(tuning, params)
    if study.user_attrs.setdefault("comparable", key) != key:
        raise UserError(
            f"tune.yaml: study {tuning.name} was begun with another space or another params.yaml; "
            "its trials do not compare: give this one another name"
        )
    study.set_user_attr("comparable", key)
    return study


def requeue_interrupted(study: optuna.Study) -> None:
    """Trials that ended with the sweep come first, with the same values: their training goes on where it stopped."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if "pid" in trial.user_attrs:
            end_orphan(trial.user_attrs["experiment"], trial.user_attrs["pid"])
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def suggest(trial: optuna.Trial, space: dict[str, Range | Choices]) -> dict[str, Any]:
    """A value for each key."""
    values: dict[str, Any] = {}
    for key, entry in space.items():
        if isinstance(entry, Choices):
            values[key] = trial.suggest_categorical(key, entry.choices)
        elif isinstance(entry.low, int) and isinstance(entry.high, int):
            values[key] = trial.suggest_int(key, entry.low, entry.high, log=entry.log)
        else:
            values[key] = trial.suggest_float(key, entry.low, entry.high, log=entry.log)
    return values


@contextmanager
def _only_sweep(name: str) -> Iterator[None]:
    """Another process of the same study would take our running trials for interrupted ones."""
    folder = state_folder("tune")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"study {name}: another `fashionseg tune` is at it") from None
        yield


def _run_next(study: optuna.Study, tuning: Tuning, root: Path) -> TrialState:
    trial = study.ask()
    values = suggest(trial, tuning.space)
    name = f"{tuning.name}-{trial.number:03d}"
    trial.set_user_attr("experiment", name)
    say(f"{name}: " + ", ".join(f"{key}={_short(value)}" for key, value in values.items()))

    def should_stop(epoch: int, val_loss: float) -> bool:
        trial.report(-val_loss, epoch)  # the study maximizes
        return trial.should_prune()

    outcome = run_trial(name, values, should_stop, lambda pid: trial.set_user_attr("pid", pid), root)
    if outcome.is_stopped:
        study.tell(trial, state=TrialState.PRUNED)
        say(f"{name}: stopped early, its validation loss lags behind")
        return TrialState.PRUNED
    if outcome.exit_status or outcome.score is None:
        study.tell(trial, state=TrialState.FAIL)
        say(f"{name}: failed with exit status {outcome.exit_status}, see {STATE_FOLDER}/tune/{name}.log")
        return TrialState.FAIL
    study.tell(trial, outcome.score)
    say(f"{name}: competition score {outcome.score:.4f} (best {study.best_value:.4f})")
    return TrialState.COMPLETE


def _comparable(tuning: Tuning, params: dict[str, Any]) -> str:
    """A hash of everything that must be the same in all trials."""
    around = {key: value for key, value in flatten(params).items() if key not in tuning.space}
    around = {key: value for key, value in around.items() if not key.startswith(("tracking.", "loader."))}
    space = {key: vars(entry) for key, entry in tuning.space.items()}
    return hashlib.sha256(json.dumps([around, space], sort_keys=True).encode()).hexdigest()


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
