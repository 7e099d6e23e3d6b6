"""Tracking: one pipeline run is one MLflow run, and stages run unchanged without MLflow."""

from __future__ import annotations

import ast
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fashionseg import tracking
from fashionseg.cli import main
from fashionseg.params import load_params
from fashionseg.tracking import mirror as mirror_module
from fashionseg.tracking.address import public_uri, tracking_uri
from fashionseg.tracking.identity import identify, tracked_params
from fashionseg.tracking.journal import Journal
from fashionseg.tracking.mirror import mirror, note_killed_stage
from tracked import journals, log_stage, only_journal, points, write_histories

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


# --- the journal ---------------------------------------------------------------------------------------------------


def test_half_written_line_is_skipped(tmp_path: Path) -> None:
    """A kill in the middle of a write leaves such a line."""
    journal = Journal(tmp_path / "run")
    journal.append("begin", stage="finetune")
    with journal.path.open("a") as file:
        file.write('{"kind": "metr')
    assert [record["kind"] for record in journal.records()] == ["begin"]
    journal.append("end", stage="finetune", status="FINISHED")
    assert [record["kind"] for record in journal.records()] == ["begin", "end"]


def test_reading_resumes_at_the_offset(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    assert journal.read() == ([], 0)
    journal.append("tags", values={"a": "1"})
    first, offset = journal.read()
    journal.append("tags", values={"a": "2"})
    second, end = journal.read(offset)
    assert [record["values"]["a"] for record in (*first, *second)] == ["1", "2"]
    assert end == journal.path.stat().st_size


def test_epoch_is_the_step_and_not_a_metric(project: Path) -> None:
    with tracking.stage_run("finetune", load_params()) as run:
        run.log_metrics({"epoch": 3, "loss": 1.5}, step=3)
    assert points(only_journal(project)) == [("loss", 3, 1.5)]


# --- run identity --------------------------------------------------------------------------------------------------


def test_experiment_has_dvcs_name(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = tracked_params(load_params())
    monkeypatch.setenv("DVC_EXP_NAME", "puffy-daks")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0123456789abcdef0123456789abcdef01234567")
    identity = identify(params)
    assert identity.name == "puffy-daks"
    assert identity.key.startswith("puffy-daks-0123456-")
    assert identity.tags["git.commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert identity.tags["DVC_EXP_NAME"] == "puffy-daks"


def test_plain_run_is_named_after_commit_and_parameters(project: Path) -> None:
    def git(*words: str) -> str:
        name = ["-c", "user.name=t", "-c", "user.email=t@t"]
        return subprocess.run(
            ["git", *name, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    params = tracked_params(load_params())
    assert identify(params).name.startswith("nogit-")
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    commit = git("rev-parse", "HEAD")
    name = identify(params).name
    assert name.startswith(f"{commit[:7]}-")
    assert identify(params | {"seed": 1}).name != name
    assert identify(params).name == name


def test_tracking_address_does_not_change_the_run(project: Path) -> None:
    before = tracked_params(load_params())
    assert main(["preset", "tracking.uri=http://example.org"]) == 0
    assert tracked_params(load_params()) == before
    assert not [key for key in before if key.startswith("tracking")]


def test_temporary_experiment_logs_into_the_checkout(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Queued and temporary experiments run in a folder that is deleted."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copy(project / "params.yaml", copy)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(project))
    log_stage("train_heads", (1, 2.0))
    assert points(only_journal(project)) == [("loss", 1, 2.0)]
    assert not (copy / ".fashionseg").exists()
    assert tracking_uri(None) == f"sqlite:///{project}/.fashionseg/mlflow.db"
    assert tracking_uri("sqlite:///runs.db") == f"sqlite:///{project}/runs.db"


def test_environment_overrides_params(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri("http://a:1") == "http://a:1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://b:2")
    assert tracking_uri("http://a:1") == "http://b:2"


def test_public_uri_has_no_password() -> None:
    assert public_uri("https://me:secret@example.org:5000/x") == "https://example.org:5000/x"


# --- stage runs ----------------------------------------------------------------------------------------------------


def test_stages_of_a_pipeline_run_share_one_journal(project: Path) -> None:
    log_stage("train_heads", (1, 2.0), (2, 1.5))
    log_stage("finetune", (3, 1.0))
    log_stage("predict")
    journal = only_journal(project)
    assert points(journal) == [("loss", 1, 2.0), ("loss", 2, 1.5), ("loss", 3, 1.0)]
    ends = [(record["stage"], record["status"]) for record in journal.records() if record["kind"] == "end"]
    assert ends == [("train_heads", "FINISHED"), ("finetune", "FINISHED"), ("predict", "FINISHED")]


def test_resumed_training_stays_one_run_without_repeated_points(project: Path) -> None:
    with pytest.raises(RuntimeError), tracking.stage_run("finetune", load_params()) as run:
        run.log_metrics({"loss": 1.0}, step=3)
        run.log_metrics({"loss": 0.9}, step=4)
        raise RuntimeError
    log_stage("finetune", (4, 0.9), (5, 0.8))  # epoch 4 was logged, but killed before its state was written
    assert points(only_journal(project)) == [("loss", 3, 1.0), ("loss", 4, 0.9), ("loss", 5, 0.8)]


def test_rerun_stage_starts_a_new_run(project: Path) -> None:
    """`dvc repro --force`, or changed code that was not committed."""
    for _ in range(2):
        log_stage("train_heads", (1, 2.0))
        log_stage("finetune", (3, 1.0))
    first, second = journals(project)
    assert second.folder.name == f"{first.folder.name}.2"
    assert points(first) == points(second) == [("loss", 1, 2.0), ("loss", 3, 1.0)]


def test_histories_of_cached_stages_are_logged_and_marked(project: Path) -> None:
    heads, finetuned = write_histories(project)
    with tracking.stage_run("evaluate", load_params()) as run:
        run.log_histories(heads, finetuned)
    journal = only_journal(project)
    assert points(journal) == [
        *[("loss", 1, 2.0), ("val_loss", 1, 3.0)],
        *[("loss", 2, 1.5), ("val_loss", 2, 2.5)],
        *[("loss", 3, 1.0), ("val_loss", 3, 2.0)],
    ]
    tags = [record["values"] for record in journal.records() if record["kind"] == "tags"]
    assert {"history.from_cache": "heads,finetune"} in tags


def test_histories_logged_during_training_are_not_logged_again(project: Path) -> None:
    heads, finetuned = write_histories(project)
    log_stage("finetune", (3, 1.0000001))  # history.csv may hold fewer digits
    with tracking.stage_run("evaluate", load_params()) as run:
        run.log_histories(heads, finetuned)
    journal = only_journal(project)
    assert [point for point in points(journal) if point[:2] == ("loss", 3)] == [("loss", 3, 1.0000001)]
    assert ("val_loss", 3, 2.0) in points(journal)
    tags = [record["values"] for record in journal.records() if record["kind"] == "tags"]
    assert {"history.from_cache": "heads"} in tags


def test_only_numbers_are_metrics_and_names_are_valid_in_mlflow(project: Path) -> None:
    with tracking.stage_run("evaluate", load_params()) as run:
        run.log_metrics({"ap@0.5": 0.25, "name": "dress", "ok": True, "none": None, "coco.box.ap": 1})
    assert points(only_journal(project)) == [("ap_0.5", 0, 0.25), ("coco.box.ap", 0, 1.0)]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_interrupted_stage_ends_as_failed_or_killed(
    project: Path, error: type[BaseException], status: str
) -> None:
    with pytest.raises(error), tracking.stage_run("finetune", load_params()):
        raise error
    assert only_journal(project).records()[-1]["status"] == status


@pytest.mark.fault(table="disk", case="disk full while tracking", outcome="one line, training continues")
def test_full_disk_does_not_end_a_stage(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_space(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with tracking.stage_run("finetune", load_params()) as run:
        monkeypatch.setattr(Journal, "append", no_space)
        run.log_metrics({"loss": 1.0}, step=1)
        run.log_artifacts(project / "params.yaml")
    assert "was not logged" in capsys.readouterr().out


# --- the mirror ----------------------------------------------------------------------------------------------------


@pytest.fixture
def closed_pipe() -> Iterator[int]:
    """The pipe of a stage that has ended."""
    reading, writing = os.pipe()
    os.close(writing)
    yield reading
    os.close(reading)


@pytest.mark.fault(table="processes", case="a killed stage, in MLflow", outcome="ends as KILLED")
def test_stage_that_died_without_an_end_record_is_marked_killed(
    tmp_path: Path, closed_pipe: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(mirror_module, "send", lambda *_: sent.append("once"))
    journal = Journal(tmp_path / "run")
    journal.append("begin", stage="finetune", pid=7)
    assert mirror(journal, "sqlite:///x.db", closed_pipe, stage_pid=7)
    assert journal.records()[-1] | {"time": 0} == {
        "kind": "end", "stage": "finetune", "status": "KILLED", "time": 0,
    }  # fmt: skip
    assert sent == ["once"]
    note_killed_stage(journal, stage_pid=7)
    assert len(journal.records()) == 2  # recorded once


def test_restarted_stage_is_not_marked_killed(tmp_path: Path) -> None:
    """The mirror of the killed stage is still running."""
    journal = Journal(tmp_path / "run")
    journal.append("begin", stage="finetune", pid=7)
    journal.append("begin", stage="finetune", pid=8)
    note_killed_stage(journal, stage_pid=7)
    assert journal.records()[-1]["kind"] == "begin"


def test_one_process_at_a_time_sends_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run")
    with journal.exclusive() as first, journal.exclusive() as second:
        assert (first, second) == (True, False)
    with journal.exclusive(patience_seconds=5) as third:
        assert third


def test_mirror_pauses_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    monkeypatch.setattr(mirror_module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(mirror_module, "send", lambda *_: tries.append(1) or "no answer")
    journal = Journal(tmp_path / "run")
    journal.append("begin", stage="finetune", pid=7)
    reading, writing = os.pipe()
    threading.Timer(0.3, os.close, [writing]).start()
    assert not mirror(journal, "http://x", reading, stage_pid=7)
    os.close(reading)
    assert tries == [1]


@pytest.mark.fault(table="network", case="MLflow unreachable, hanging, or answering 500")
def test_unresponsive_server_does_not_delay_a_stage(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mirror_module, "DRAIN_SECONDS", 0.5)
    monkeypatch.setenv("FASHIONSEG_TRACKING", "on")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        log_stage("finetune", (1, 2.0))
    assert "MLflow: not reached" in capsys.readouterr().out
    assert points(only_journal(project)) == [("loss", 1, 2.0)]


# --- imports -------------------------------------------------------------------------------------------------------


def test_only_tracking_and_registry_import_mlflow(repo: Path) -> None:
    importing = {
        path.relative_to(repo / "src").as_posix()
        for path in (repo / "src").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "mlflow" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mlflow")
    }
    assert importing == {
        "fashionseg/tracking/mlflow_store.py",
        "fashionseg/registry/photo_model.py",
        "fashionseg/registry/store.py",
    }


def test_stage_does_not_load_mlflow(project: Path) -> None:
    code = (
        "import sys; from fashionseg import tracking; from fashionseg.params import load_params\n"
        "with tracking.stage_run('finetune', load_params()) as run: run.log_metrics({'loss': 1.0}, 1)\n"
        "sys.exit('mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
