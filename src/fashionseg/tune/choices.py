"""Other choices for a study with trials.

Optuna fixes the choices of a parameter with its first trial. So the trials are stored again, in order and under the
same numbers, in a new study that takes the place of the old one.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

Space = Mapping[str, BaseDistribution]


def has_other_choices(study: optuna.Study, space: Space) -> bool:
    """Whether a trial was drawn from other choices than those of `space`."""
    return any(
        isinstance(drawn_from, CategoricalDistribution) and space.get(key, drawn_from) != drawn_from
        for trial in study.get_trials(deepcopy=False)
        for key, drawn_from in trial.distributions.items()
    )


def store_with_choices(study: optuna.Study, space: Space, database: Path) -> None:
    """Stores the trials of the study with the choices of `space`; a kill leaves the old study or the new one.

    Args:
        study: no other process uses it; not usable afterwards, open it again.
        database: SQLite file of its storage.
    """
    storage = f"sqlite:///{database}"
    name, new, old = study.study_name, f"{study.study_name} (new)", f"{study.study_name} (old)"
    stored = optuna.get_all_study_names(storage)
    for left_by_a_kill in {new, old} & set(stored):
        optuna.delete_study(study_name=left_by_a_kill, storage=storage)
    copy = optuna.create_study(study_name=new, storage=storage, directions=study.directions)
    for key, value in study.user_attrs.items():
        copy.set_user_attr(key, value)
    copy.add_trials(_with_choices(trial, space) for trial in study.trials)
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:  # one transaction
        rename = "update studies set study_name = ? where study_name = ?"
        connection.execute(rename, (old, name))
        connection.execute(rename, (name, new))
    optuna.delete_study(study_name=old, storage=storage)


def contains(distribution: BaseDistribution, value: object) -> bool:
    """Whether the distribution can draw the value."""
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return distribution._contains(distribution.to_internal_repr(value))


def _with_choices(trial: FrozenTrial, space: Space) -> FrozenTrial:
    drawn_from = {key: space.get(key, distribution) for key, distribution in trial.distributions.items()}
    values = {
        **trial.system_attrs.get("fixed_params", {}),
        **trial.params,
    }  # fixed: those of an enqueued trial
    if any(key in space and not contains(space[key], value) for key, value in values.items()):
        # Refused before for finished trials; what failed or waits counts for nothing, and keeps its number.
        return optuna.trial.create_trial(state=TrialState.FAIL, user_attrs=trial.user_attrs)
    return optuna.trial.create_trial(
        state=trial.state,
        value=trial.value,
        params=trial.params,
        distributions=drawn_from,
        user_attrs=trial.user_attrs,
        system_attrs=trial.system_attrs,
        intermediate_values=trial.intermediate_values,
    )
