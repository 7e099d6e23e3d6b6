"""Journals replayed into MLflow: one pipeline run is one MLflow run, whenever and however often it is sent."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fashionseg import tracking
from fashionseg.cli import main
from fashionseg.errors import UserError
from fashionseg.params import load_params
from fashionseg.tracking.identity import tracked_params
from fashionseg.tracking.journal import Journal
from tracked import log_stage, only_journal, write_histories

# MLflow's own use of SQLAlchemy.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]


def client(database: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{database}")


def runs(database: Path) -> list[Any]:
    mlflow = client(database)
    experiment = mlflow.get_experiment_by_name("fashionseg")
    return [] if experiment is None else mlflow.search_runs([experiment.experiment_id])


def histories(database: Path, run: Any) -> dict[str, list[tuple[int, float]]]:
    mlflow = client(database)
    return {
        name: [(point.step, point.value) for point in mlflow.get_metric_history(run.info.run_id, name)]
        for name in sorted(run.data.metrics)
    }


def artifacts(database: Path, run: Any, folder: str | None = None) -> list[str]:
    found = client(database).list_artifacts(run.info.run_id, folder)
    return [
        path
        for item in found
        for path in ([item.path] if not item.is_dir else artifacts(database, run, item.path))
    ]


def damage(database: Path) -> None:
    database.write_bytes(b"not a database" * 100)


def set_version(database: Path, revision: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update alembic_version set version_num = ?", [revision])


def make_newer(database: Path) -> None:
    set_version(database, "ffffffffffff")


def make_older(database: Path) -> None:
    set_version(database, "451aebb31d03")  # MLflow's first


def copy_elsewhere(database: Path) -> None:
    client(database).create_experiment("fashionseg", "file:///elsewhere/mlartifacts")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (damage, "is damaged; `mv {0} {0}.old && fashionseg import-journals` writes a new one"),
        (make_newer, "; if it is newer, `mv {0} {0}.old && fashionseg import-journals` writes a new one"),
        (make_older, "of another version of MLflow; if it is older, back it up and `mlflow db upgrade sqlite:///{0}`"),
        (copy_elsewhere, "this store was created in another folder, its artifacts are in file:///elsewhere/"),
    ],
)  # fmt: skip
@pytest.mark.fault(
    table="stored-files",
    case="MLflow's database damaged, of another version, or copied from another folder",
    outcome="one line with the command that helps; the journal keeps the run",
)
def test_a_database_that_mlflow_refuses_is_one_line(
    project: Path,
    database: Path,
    make: Callable[[Path], None],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(database)
    expected = expected.format(database)
    for _ in range(3):  # each a journal of its own
        log_stage("finetune", (3, 1.0))
    capsys.readouterr()
    is_readable = make is copy_elsewhere
    assert main(["import-journals"]) == (1 if is_readable else 2)
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    assert said.count("\n") == 1
    if is_readable:
        assert "not sent: 3 of 3 journals" in said
    else:
        assert main(["serve"]) == 2
        assert capsys.readouterr().err == said
    # The same line at the end of a stage.
    monkeypatch.setenv("FASHIONSEG_TRACKING", "on")
    log_stage("evaluate", (3, 1.0))
    said = capsys.readouterr().out
    assert expected in said
    assert "not reached" not in said


def log_everything(project: Path) -> None:
    """A pipeline run whose heads were restored from the cache."""
    heads, finetuned = write_histories(project)
    pictures = project / "pictures"
    (pictures / "large").mkdir(parents=True)
    (pictures / "1.png").write_bytes(b"one")
    (pictures / "large" / "2.png").write_bytes(b"two")
    log_stage("finetune", (3, 1.0))
    with tracking.stage_run("evaluate", load_params()) as run:
        run.log_histories(heads, finetuned)
        run.log_metrics({"competition_score": 0.25})
        run.log_artifacts(pictures, "pictures")
        run.log_artifacts(project / "params.yaml")


def test_one_pipeline_run_is_one_mlflow_run(
    project: Path, database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the real mirror process, as in a stage."""
    (project / "dvc.lock").write_text(
        "stages:\n  decode:\n    outs:\n    - path: data/decoded\n      md5: abc.dir\n"
    )
    monkeypatch.setenv("FASHIONSEG_TRACKING", "on")
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-daks")
    log_everything(project)
    assert "not reached" not in capsys.readouterr().out
    (run,) = runs(database)
    assert run.info.run_name == "puffy-daks"
    assert run.info.status == "FINISHED"
    assert histories(database, run) == {
        "competition_score": [(0, 0.25)],
        "loss": [(3, 1.0), (1, 2.0), (2, 1.5)],
        "val_loss": [(1, 3.0), (2, 2.5), (3, 2.0)],
    }
    assert run.data.params["train.heads.learning_rate"] == "0.001"
    assert run.data.params["augment.scale_range"] == "[0.9, 1.1]"
    assert len(run.data.params) == len(tracked_params(load_params()))
    wanted = {
        "DVC_EXP_NAME": "puffy-daks",
        "data.md5": "abc.dir",
        "history.from_cache": "heads",
        "source": "sample",
    }
    assert {key: run.data.tags.get(key) for key in wanted} == wanted
    assert artifacts(database, run) == ["params.yaml", "pictures/1.png", "pictures/large/2.png"]
    stored = project / ".fashionseg" / "mlartifacts" / run.info.run_id / "artifacts" / "pictures" / "1.png"
    assert stored.read_bytes() == b"one"


def test_importing_twice_duplicates_nothing(project: Path, database: Path) -> None:
    log_everything(project)
    assert runs(database) == []
    assert main(["import-journals"]) == 0
    (run,) = runs(database)
    before = histories(database, run)
    assert main(["import-journals"]) == 0
    (only_journal(project).folder / "sent.json").unlink()  # also without the record of what was sent
    assert main(["import-journals"]) == 0
    (again,) = runs(database)
    assert again.info.run_id == run.info.run_id
    assert histories(database, again) == before
    assert before["val_loss"] == [(1, 3.0), (2, 2.5), (3, 2.0)]


def test_deleted_store_is_filled_again(project: Path, database: Path, empty_database: Path) -> None:
    log_stage("finetune", (3, 1.0))
    assert main(["import-journals"]) == 0
    shutil.copy(empty_database, database)
    assert main(["import-journals"]) == 0
    (run,) = runs(database)
    assert run.data.metrics == {"loss": 1.0}


def test_deleted_run_stays_deleted(project: Path, database: Path) -> None:
    log_stage("finetune", (3, 1.0))
    assert main(["import-journals"]) == 0
    client(database).delete_run(runs(database)[0].info.run_id)
    assert main(["import-journals"]) == 0
    assert runs(database) == []


def test_records_of_a_later_stage_are_added_to_the_same_run(project: Path, database: Path) -> None:
    log_stage("finetune", (3, 1.0))
    assert main(["import-journals"]) == 0
    with pytest.raises(RuntimeError), tracking.stage_run("predict", load_params()) as run:
        run.log_metrics({"photos": 80})
        raise RuntimeError
    assert main(["import-journals"]) == 0
    (found,) = runs(database)
    assert found.data.metrics == {"loss": 1.0, "photos": 80.0}
    assert found.info.status == "FAILED"


def test_batches_over_mlflows_limits_are_split(project: Path, database: Path) -> None:
    """Limits per call: 1,000 points, 100 parameters; 6,000 characters per value."""
    journal = Journal(project / ".fashionseg" / "journal" / "long")
    params = {f"p{number}": number for number in range(250)} | {"long": "x" * 9000}
    journal.append("run", key="long", name="long", experiment="fashionseg", params=params, tags={})
    for step in range(1200):
        journal.append("metrics", stage="finetune", step=step, values={"loss": 1.0, "val_loss": float("nan")})
    assert main(["import-journals"]) == 0
    (run,) = runs(database)
    assert len(run.data.params) == 251
    assert len(run.data.params["long"]) == 6000
    assert {name: len(values) for name, values in histories(database, run).items()} == {
        "loss": 1200,
        "val_loss": 1200,
    }


def test_store_created_in_another_folder_is_refused(project: Path, database: Path) -> None:
    from fashionseg.tracking.mlflow_store import replay

    client(database).create_experiment("fashionseg", "file:///elsewhere/mlartifacts")
    log_stage("finetune", (3, 1.0))
    with pytest.raises(UserError, match="created in another folder, its artifacts are in file:///elsewhere"):
        replay(only_journal(project), f"sqlite:///{database}")
    assert not Path("/elsewhere").exists()


def test_artifacts_of_an_experiment_created_through_a_server_are_stored_where_the_server_reads_them(
    project: Path, database: Path
) -> None:
    experiment = client(database).create_experiment("fashionseg", "mlflow-artifacts:/1")
    assert experiment == "1"
    log_everything(project)
    assert main(["import-journals"]) == 0
    (run,) = runs(database)
    served = project / ".fashionseg" / "mlartifacts" / "1" / run.info.run_id / "artifacts"
    assert (served / "pictures" / "large" / "2.png").read_bytes() == b"two"


@pytest.mark.fault(
    table="network",
    case="MLflow unreachable, hanging, or answering 500",
    outcome="one line at the end of the stage; `fashionseg import-journals` later",
)
def test_run_logged_without_a_server_is_imported_later(
    project: Path, database: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("FASHIONSEG_TRACKING", "on")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    log_stage("finetune", (1, 2.0))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"MLflow: http://127.0.0.1:{port}, run nogit-")
    assert printed[1].startswith("MLflow: not reached; the run is stored in ")
    assert main(["import-journals"]) == 2
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert main(["import-journals"]) == 0
    (run,) = runs(database)
    assert run.data.metrics == {"loss": 2.0}
