"""The search loop: runs trials up to the requested number, stored in a database after each step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
from optuna import distributions
from optuna.trial import TrialState
from sqlalchemy.exc import DatabaseError

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import flatten
from fashionseg.params.yaml_file import one_line
from fashionseg.project import state_folder
from fashionseg.storage.file_lock import file_lock
from fashionseg.tracking.git_refs import require_commit
from fashionseg.tune.choices import contains, has_other_choices, store_with_choices
from fashionseg.tune.settings import Choices, Range, Tuning
from fashionseg.tune.trial import end_orphan, log_file, run_trial

DONE = (TrialState.COMPLETE, TrialState.PRUNED)
# Keys and sections that move no score.
NO_INFLUENCE = (
    "tracking.",
    "loader.",
    "submit.",
    "decode.workers.",
    "predict.batch_size.",
    "evaluate.pictures.",
)
MAX_CHANGES = 5  # in a message
MAX_FAILURES = 3  # in a row: the cause is not the parameters


def tune(tuning: Tuning, trials: int, params: dict[str, Any], root: Path) -> optuna.Study:
    """Runs trials until the study has `trials` of them, pruned ones included.

    Raises:
        UserError: no commit, the study belongs to another search, or trials keep failing.
    """
    study = open_study(tuning, params)
    require_commit(root)
    # A second process would treat our running trials as interrupted.
    with file_lock(log_file(tuning.name).with_suffix(".lock")) as is_locked:
        if not is_locked:
            raise UserError(
                f"study {tuning.name}: another `fashionseg tune` is running; wait for it or stop it"
            )
        requeue_interrupted(study, root)
        space = _space(tuning)
        if has_other_choices(study, space):
            store_with_choices(study, space, _database())
            study = open_study(tuning, params)
        failures = 0
        while sum(trial.state in DONE for trial in study.trials) < trials:
            state = _run_next(study, tuning, root)
            failures = failures + 1 if state == TrialState.FAIL else 0
            if failures == MAX_FAILURES:
                raise UserError(f"{MAX_FAILURES} trials failed in a row; see {log_file('*')}")
    return study


def open_study(tuning: Tuning, params: dict[str, Any]) -> optuna.Study:
    """The study in `.fashionseg/tune.db`, created on first use.

    Raises:
        UserError: the study has another search space or other fixed parameters, or the file is not readable.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    database = _database()
    database.parent.mkdir(exist_ok=True)
    try:
        study = optuna.create_study(
            study_name=tuning.name,
            storage=f"sqlite:///{database}",
            load_if_exists=True,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=tuning.pruning.startup_trials, n_warmup_steps=tuning.pruning.warmup_epochs
            ),
        )
    # What Optuna raises for another schema, and SQLAlchemy for a file that is no database.
    except (RuntimeError, DatabaseError, optuna.exceptions.StorageInternalError) as error:
        raise UserError(
            f"{database}: damaged, or of another version of Optuna ({one_line(error)}); if it is older, back it up and "
            f"`optuna storage upgrade --storage sqlite:///{database}`; `mv {database} {database}.old` starts anew"
        ) from None
    # A resumed study must not draw the same numbers again.
    study.sampler = optuna.samplers.TPESampler(seed=tuning.seed + len(study.trials), multivariate=False)
    fixed = _fixed(tuning, params)
    changes = _not_comparable(study, tuning, study.user_attrs.get("fixed", fixed), fixed)
    if changes:
        raise UserError(
            f"tune.yaml: the trials of study {tuning.name} are not comparable with new ones: {'; '.join(changes)}; "
            "change `name` or undo the change"
        )
    study.set_user_attr("fixed", fixed)
    return study


def requeue_interrupted(study: optuna.Study, root: Path) -> None:
    """Enqueues the interrupted trials with the same values, so that their training resumes."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if "pid" in trial.user_attrs:
            end_orphan(trial.user_attrs["experiment"], trial.user_attrs["pid"], root)
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)


def _database() -> Path:
    return state_folder("tune.db")


def _space(tuning: Tuning) -> dict[str, distributions.BaseDistribution]:
    return {key: _distribution(entry) for key, entry in tuning.space.items()}


def _distribution(entry: Range | Choices) -> distributions.BaseDistribution:
    if isinstance(entry, Choices):
        return distributions.CategoricalDistribution(entry.choices)
    if isinstance(entry.low, int) and isinstance(entry.high, int):
        return distributions.IntDistribution(entry.low, entry.high, entry.log)
    return distributions.FloatDistribution(entry.low, entry.high, entry.log)


def _run_next(study: optuna.Study, tuning: Tuning, root: Path) -> TrialState:
    trial = study.ask(_space(tuning))
    name = f"{tuning.name}-{trial.number:03d}"
    trial.set_user_attr("experiment", name)
    numbers = (
        f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in trial.params.items()
    )
    say(f"{name}: " + ", ".join(numbers))

    def should_prune(epoch: int, val_loss: float) -> bool:
        trial.report(-val_loss, epoch)  # the study maximizes
        return trial.should_prune()

    is_pruned, exit_status, score = run_trial(
        name, trial.params, should_prune, lambda pid: trial.set_user_attr("pid", pid), root
    )
    if is_pruned:
        finished = study.tell(trial, state=TrialState.PRUNED)
        say(f"{name}: pruned, validation loss worse than the median of earlier trials")
    elif exit_status or score is None:
        finished = study.tell(trial, state=TrialState.FAIL)
        say(f"{name}: failed with exit status {exit_status}; see {log_file(name)}")
    else:
        finished = study.tell(trial, score)
        say(f"{name}: competition score {score:.4f} (best {study.best_value:.4f})")
    return finished.state


def _fixed(tuning: Tuning, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters that are not searched but move the score, as JSON reads them."""
    values = {
        key: value
        for key, value in flatten(params).items()
        if key not in tuning.space and not f"{key}.".startswith(NO_INFLUENCE)
    }
    return json.loads(json.dumps(values))


def _not_comparable(
    study: optuna.Study, tuning: Tuning, before: dict[str, Any], after: dict[str, Any]
) -> list[str]:
    """What keeps the finished trials of the study from counting in this search, by key.

    A range may be widened, or narrowed around all trials, and choices that no trial has may come and go.
    """
    trials = study.get_trials(deepcopy=False, states=DONE)
    if not trials:
        return []
    searched = set(tuning.space).union(*(trial.params for trial in trials))
    changes = [
        f"{key} changed from {before.get(key)} to {after.get(key)}"
        for key in dict.fromkeys([*before, *after])
        if key not in searched and before.get(key) != after.get(key)
    ]
    for trial in trials:
        for key in dict.fromkeys([*tuning.space, *trial.params]):
            if key not in tuning.space or key not in trial.params:
                changes.append(f"space.{key} was {'removed' if key in trial.params else 'added'}")
                continue
            old, new = trial.distributions[key], _distribution(tuning.space[key])
            is_same_kind = isinstance(new, type(old)) and getattr(old, "log", None) == getattr(
                new, "log", None
            )
            value = trial.params[key]
            if not is_same_kind or not contains(new, value):
                changes.append(f"space.{key} changed, trial {trial.number} has {value}")
    return list(dict.fromkeys(changes))[:MAX_CHANGES]
