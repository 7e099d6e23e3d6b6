"""A search over a stand-in pipeline: real DVC experiments, journals, signals and Optuna."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from dvc_project import commit_with_dvc
from fashionseg.cli import main
from fashionseg.tracking.journal import stored_journals

pytestmark = pytest.mark.slow

# Six epochs. With `augment.shift_fraction` above 0.5 the loss is far off and the training never ends.
STAGE = """
import json, time
from pathlib import Path
from fashionseg import tracking
from fashionseg.params import load_params
params = load_params()
shift = params.augment.shift_fraction
is_bad = shift > 0.5
with tracking.stage_run("finetune", params) as run:
    for epoch in range(1, 7):
        run.log_metrics({"loss": 1.0, "val_loss": shift * 10 + 1 / epoch}, step=epoch)
        while is_bad and epoch == 6:
            time.sleep(0.1)
with tracking.stage_run("evaluate", params) as run:
    run.log_metrics({"competition_score": 0.5 - shift})
Path("score.json").write_text(json.dumps({"competition_score": 0.5 - shift}))
"""
PIPELINE = {
    "stages": {
        "finetune": {
            "cmd": f"{sys.executable} stage.py",
            "deps": ["stage.py"],
            "params": ["augment"],
            "metrics": [{"score.json": {"cache": False}}],
        }
    }
}
SETTINGS = """
name: shifts
trials: {trials}
seed: 1
pruning: {{startup_trials: 1, warmup_epochs: 2}}
space:
  augment.shift_fraction: {{low: 0.0, high: 0.9}}
"""


@pytest.fixture
def committed(project: Path) -> Path:
    """The stand-in pipeline in a Git clone with DVC."""
    (project / ".dvc").rmdir()
    (project / "stage.py").write_text(STAGE)
    (project / "dvc.yaml").write_text(json.dumps(PIPELINE))
    (project / "tune.yaml").write_text(SETTINGS.format(trials=3))
    (project / ".gitignore").write_text("/.fashionseg/\n")
    commit_with_dvc(project)
    return project


def load_study(project: Path) -> optuna.Study:
    return optuna.load_study(study_name="shifts", storage=f"sqlite:///{project}/.fashionseg/tune.db")


def enqueue(project: Path, *shifts: float) -> None:
    """Enqueues the first trials."""
    from fashionseg.params import load_params, to_dict
    from fashionseg.tune.settings import TUNE_FILE, load_tuning
    from fashionseg.tune.study import open_study

    params = to_dict(load_params())
    study = open_study(load_tuning(TUNE_FILE, params), params)
    for shift in shifts:
        study.enqueue_trial({"augment.shift_fraction": shift})


def is_endless(trial: optuna.trial.FrozenTrial) -> bool:
    return trial.params.get("augment.shift_fraction") == 0.8 and "pid" in trial.user_attrs


@pytest.fixture
def in_background() -> Iterator[None]:
    """Ctrl-C is ignored, as by a command that a script started with `&`."""
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("in_background")
def test_search_prunes_bad_trials_resumes_after_a_kill_and_reports_the_best(
    committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enqueue(committed, 0.2, 0.8, 0.1)
    before = (committed / "params.yaml").read_text()
    # The second trial never ends. It is running when the search is killed.
    sweep = subprocess.Popen(
        [sys.executable, "-m", "fashionseg.cli", "tune"], env=os.environ, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while not (
        pids := [trial.user_attrs["pid"] for trial in load_study(committed).trials if is_endless(trial)]
    ):
        assert time.monotonic() < deadline and sweep.poll() is None
        time.sleep(0.2)
    assert main(["tune"]) == 2
    assert "another `fashionseg tune` is running" in capsys.readouterr().err
    sweep.send_signal(signal.SIGKILL)
    sweep.wait()
    (orphan,) = pids
    assert Path(f"/proc/{orphan}").exists()

    assert main(["tune"]) == 0
    assert "best: shifts-" in capsys.readouterr().out
    assert not Path(f"/proc/{orphan}").exists()
    study = load_study(committed)
    done = {
        round(trial.params["augment.shift_fraction"], 3): trial
        for trial in study.trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    }
    assert {shift: trial.state.name for shift, trial in done.items()} == {
        0.2: "COMPLETE",
        0.8: "PRUNED",
        0.1: "COMPLETE",
    }
    assert done[0.1].value == pytest.approx(0.4)
    assert study.best_trial.number == done[0.1].number
    assert len(done[0.8].intermediate_values) >= 2  # not pruned before the warm-up

    # Each trial is an experiment and a run, the pruned one a killed run; the workspace is unchanged.
    names = {shift: trial.user_attrs["experiment"] for shift, trial in done.items()}
    listed = subprocess.run(
        [sys.executable, "-m", "dvc", "exp", "list", "--name-only"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sorted(listed.stdout.split()) == sorted([names[0.1], names[0.2]])
    status = {
        record["status"]
        for journal in stored_journals(committed / ".fashionseg/journal")
        if journal.folder.name.startswith(names[0.8])
        for record in journal.records()
        if record["kind"] == "end"
    }
    assert status == {"KILLED"}
    assert (committed / "params.yaml").read_text() == before

    assert main(["tune"]) == 0  # no trial left to run
    assert len(load_study(committed).trials) == len(study.trials)
    (committed / "tune.yaml").write_text(SETTINGS.format(trials=4).replace("0.9", "0.7"))
    assert main(["tune"]) == 2
    expected = f"space.augment.shift_fraction changed, trial {done[0.8].number} has 0.8"
    assert expected in capsys.readouterr().err


@pytest.fixture
def finished(project: Path) -> Path:
    """A study with a trial of shift 0.2."""
    (project / "tune.yaml").write_text(SETTINGS.format(trials=3))
    enqueue(project, 0.2)
    study = load_study(project)
    study.tell(study.ask({"augment.shift_fraction": optuna.distributions.FloatDistribution(0.0, 0.9)}), 0.5)
    return project


@pytest.mark.parametrize(
    ("low", "high", "changes"),
    [
        (0.0, 0.95, []),
        (0.1, 0.3, []),
        (0.0, 0.9, ["submit.message=x", "evaluate.pictures=3", "loader.workers=0"]),
    ],
    ids=["wider", "narrower", "keys without influence"],
)
def test_trials_that_the_new_space_contains_count(
    finished: Path, low: float, high: float, changes: list[str]
) -> None:
    if changes:
        assert main(["preset", *changes]) == 0
    (finished / "tune.yaml").write_text(
        SETTINGS.format(trials=3).replace("0.9", str(high)).replace("low: 0.0", f"low: {low}")
    )
    enqueue(finished, 0.25)
    assert [trial.state.name for trial in load_study(finished).trials] == ["COMPLETE", "WAITING"]


def test_choices_may_come_and_go_around_the_trials(
    committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Optuna fixes the choices of a study with its first trial."""

    def set_choices(*choices: float) -> None:
        space = f"{{choices: [{', '.join(map(str, choices))}]}}"
        settings = SETTINGS.format(trials=1).replace("{low: 0.0, high: 0.9}", space)
        (committed / "tune.yaml").write_text(settings)

    set_choices(0.1, 0.2)
    enqueue(committed, 0.2, 0.1)
    study = load_study(committed)
    choices = optuna.distributions.CategoricalDistribution([0.1, 0.2])
    trial = study.ask({"augment.shift_fraction": choices})
    trial.report(-1.0, 1)
    trial.set_user_attr("experiment", "shifts-000")
    study.tell(trial, 0.3)

    set_choices(0.3, 0.2)  # the trial that waits has 0.1
    assert main(["tune"]) == 0
    finished, waiting = load_study(committed).trials
    assert (finished.number, finished.params, finished.value) == (0, {"augment.shift_fraction": 0.2}, 0.3)
    assert finished.user_attrs == {"experiment": "shifts-000"}
    assert finished.intermediate_values == {1: -1.0}
    assert (waiting.number, waiting.state.name) == (1, "FAIL")
    assert optuna.get_all_study_names(f"sqlite:///{committed}/.fashionseg/tune.db") == ["shifts"]
    enqueue(committed, 0.3)  # Optuna takes the new choice
    new = optuna.distributions.CategoricalDistribution([0.3, 0.2])
    assert load_study(committed).ask({"augment.shift_fraction": new}).params == {
        "augment.shift_fraction": 0.3
    }

    set_choices(0.3, 0.4)
    assert main(["tune"]) == 2
    assert "space.augment.shift_fraction changed, trial 0 has 0.2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "change", "expected"),
    [
        (("low: 0.0", "low: 0.5"), None, "space.augment.shift_fraction changed, trial 0 has 0.2; change `name`"),
        (("augment.shift_fraction", "train.weight_decay"), None, "space.augment.shift_fraction was removed"),
        (("", ""), "train.momentum=0.8", "train.momentum changed from 0.9 to 0.8; change `name`"),
    ],
    ids=["outside", "another key", "a fixed key"],
)  # fmt: skip
@pytest.mark.fault(
    table="params",
    case="tune.yaml or params.yaml changed after trials",
    outcome="trials in the new space count, keys that move no score too; else refused, the key named",
)
def test_a_search_that_is_not_comparable_names_the_key(
    finished: Path,
    settings: tuple[str, str],
    change: str | None,
    expected: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if change:
        assert main(["preset", change]) == 0
    (finished / "tune.yaml").write_text(SETTINGS.format(trials=3).replace(*settings))
    assert main(["tune"]) == 2
    assert expected in capsys.readouterr().err


def write_garbage(database: Path) -> None:
    database.write_bytes(b"garbage" * 1000)


def make_older(database: Path) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update version_info set schema_version = 1")
        connection.execute("update alembic_version set version_num = 'v0.9.0.a'")


@pytest.mark.parametrize("break_it", [write_garbage, make_older])
@pytest.mark.fault(
    table="stored-files",
    case="the database of `make tune` damaged, or of another version of Optuna",
    outcome="one line with the commands that help",
)
def test_a_database_that_optuna_refuses_is_one_line(
    finished: Path, break_it: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    database = finished / ".fashionseg/tune.db"
    break_it(database)
    assert main(["tune"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"`optuna storage upgrade --storage sqlite:///{database}`; `mv {database} {database}.old`" in said


def test_resume_state_of_a_pruned_trial_is_deleted_and_no_other(project: Path) -> None:
    from fashionseg.tune.trial import delete_states

    def keep(name: str, *losses: float) -> Path:
        path = project / ".fashionseg/resume" / name / f"epoch-{len(losses):05d}" / "state.json"
        path.parent.mkdir(parents=True)
        rows = [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate(losses, start=1)]
        path.write_text(json.dumps({"history": rows}))
        return path

    mine, other, fresh = keep("mine", 0.5, 0.25), keep("other", 0.5, 0.26), keep("fresh")
    before, damaged = keep("mine", 0.5), keep("damaged", 0.5)
    damaged.write_text('{"history": [')
    delete_states({1: 0.5, 2: 0.25, 3: 0.2})
    assert [path.exists() for path in (mine, before, other, fresh, damaged)] == [
        False,
        False,
        True,
        True,
        True,
    ]
