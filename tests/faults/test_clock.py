"""Clocks that jump: files from 1980 and from 2100, and a journal whose time runs backwards."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest

from fashionseg import tracking
from fashionseg.cli import main
from fashionseg.params import load_params
from fashionseg.storage.checksums import write_checksums
from fashionseg.storage.fingerprint import fingerprint
from fashionseg.training.state import BEST_FILE, STATE_FILE, WEIGHTS_FILE, TrainingState

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
YEARS = (315_619_200, 4_102_531_200)  # seconds at the begin of 1980 and of 2100


@pytest.mark.parametrize("seconds", YEARS)
@pytest.mark.fault(table="processes", case="clock jumps, files dated 1980 or 2100")
def test_a_training_resumes_whatever_the_dates_of_its_files(tmp_path: Path, seconds: int) -> None:
    (tmp_path / "decoded").mkdir()
    (tmp_path / "decoded" / "a").write_text("records")
    epoch = tmp_path / "epoch-00001"
    epoch.mkdir()
    for name in (WEIGHTS_FILE, BEST_FILE):
        (epoch / name).write_bytes(b"weights")
    (epoch / STATE_FILE).write_text('{"history": [{"epoch": 1}], "best_epoch": 1}')
    write_checksums(epoch)
    before = fingerprint({"seed": 1}, [tmp_path / "decoded"])
    for path in (*epoch.iterdir(), epoch, tmp_path / "decoded", tmp_path / "decoded" / "a"):
        os.utime(path, (seconds, seconds))
    assert fingerprint({"seed": 1}, [tmp_path / "decoded"]) == before
    assert TrainingState(tmp_path).epochs_done == 1


@pytest.mark.fault(
    table="processes",
    case="clock jumps, files dated 1980 or 2100",
    outcome="no effect: contents decide, points are ordered by epoch",
)
def test_points_of_a_journal_stay_in_order_when_the_clock_jumps(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour back from each record to the next, and a year on before the last ones."""
    start = time.time_ns()
    jumps = itertools.accumulate(itertools.chain([-3600] * 4, [365 * 86_400], itertools.repeat(-3600)))
    monkeypatch.setattr(time, "time_ns", lambda: start + next(jumps) * 1_000_000_000)
    with tracking.stage_run("finetune", load_params()) as run:
        for epoch in (1, 2, 3):
            run.log_metrics({"loss": 1.0 / epoch}, step=epoch)
    monkeypatch.undo()
    monkeypatch.chdir(project)
    assert main(["import-journals"]) == 0
    assert main(["import-journals"]) == 0
    (found,), points = imported(project)
    assert sorted(points) == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]
    assert found.data.metrics["loss"] == 1 / 3  # the last epoch's, not the latest clock's


def imported(project: Path) -> tuple[list[Any], list[tuple[int, float]]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{project / '.fashionseg' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("fashionseg")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    return runs, [
        (point.step, point.value) for point in client.get_metric_history(runs[0].info.run_id, "loss")
    ]
