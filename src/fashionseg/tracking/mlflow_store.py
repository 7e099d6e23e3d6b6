"""Brings a run in MLflow up to date with its journal. Only this and `fashionseg.registry` import MLflow.

Replaying is repeatable: the run is found by its key, points and parameters sent twice are stored once, and a cursor
per tracking URI beside the journal remembers how far a former replay came.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

# Read when MLflow is imported. Without them one call to a dead server blocks for four minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from fashionseg.errors import UserError
from fashionseg.storage.atomic import atomic_write
from fashionseg.tracking.address import public_uri, sqlite_file
from fashionseg.tracking.journal import Journal, Record

KEY_TAG = "fashionseg.run_key"
PROXIED = "mlflow-artifacts:/"  # artifacts that a server keeps and hands out
KIND = {
    "mlflow.experimentKind": "custom_model_development"
}  # else the page shows what is for language models
MAX_METRICS = 1000  # limits of one log_batch call
MAX_PARAMS = 100
MAX_VALUE = 6000  # characters of a parameter or tag


def replay(journal: Journal, uri: str) -> None:
    """Sends what the store at `uri` lacks of `journal`.

    Raises:
        MlflowException: the store does not do as asked.
        UserError: the journal has no first line, or the local store belongs to another folder.
    """
    cursors = _Cursors(journal.folder / "sent.json", uri)
    with _store_lock(uri):
        client = MlflowClient(tracking_uri=uri)
        stage_of_life = _lifecycle(client, cursors.run_id)
        if stage_of_life == "deleted":  # by somebody, on purpose
            return
        if cursors.run_id is None or stage_of_life is None:
            cursors.save(0, _find_or_create_run(client, journal, uri))
    run_id = cursors.run_id
    assert run_id is not None
    records, end = journal.read(cursors.offset)
    _send_metrics(client, run_id, records)
    _send_tags(client, run_id, records)
    _send_files(
        client, run_id, journal, [record["path"] for record in records if record["kind"] == "file"], uri
    )
    _send_status(client, run_id, records)
    cursors.save(end, run_id)


def run_id_of(journal: Journal, uri: str) -> str:
    """The run that `replay` brought up to date.

    Raises:
        UserError: `journal` was never sent to `uri`.
    """
    run_id = _Cursors(journal.folder / "sent.json", uri).run_id
    if run_id is None:
        raise UserError(f"{journal.folder}: not yet sent to MLflow")
    return run_id


def _lifecycle(client: MlflowClient, run_id: str | None) -> str | None:
    """`active`, `deleted`, or None where the store does not know the run, as after deleting the whole store."""
    if run_id is None:
        return None
    try:
        return client.get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _find_or_create_run(client: MlflowClient, journal: Journal, uri: str) -> str:
    """The run with this journal's key, or a new one with its name, parameters and tags."""
    first = next((record for record in journal.records() if record["kind"] == "run"), None)
    if first is None:
        raise UserError(f"{journal.path}: the line that names the run is missing")
    experiment_id = _experiment_id(client, first["experiment"], uri)
    found = client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{first['key']}'", max_results=1)
    run = found[0] if found else _create_run(client, experiment_id, first)
    params = [Param(key, _text(value)) for key, value in first["params"].items()]
    for start in range(0, len(params), MAX_PARAMS):
        client.log_batch(run.info.run_id, params=params[start : start + MAX_PARAMS])
    return run.info.run_id


def _create_run(client: MlflowClient, experiment_id: str, first: Record) -> Run:
    tags = {key: _text(value) for key, value in first["tags"].items()} | {KEY_TAG: first["key"]}
    tags["mlflow.source.name"] = "dvc.yaml"
    tags["mlflow.source.git.commit"] = tags.get("git.commit", "")
    return client.create_run(experiment_id, first["time"], tags, first["name"])


def _experiment_id(client: MlflowClient, name: str, uri: str) -> str:
    database = sqlite_file(uri)
    artifacts = None if database is None else local_artifacts(database).as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifacts, KIND)
        except MlflowException:  # another stage was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if artifacts and found.artifact_location not in (artifacts, f"{PROXIED}{found.experiment_id}"):
        raise UserError(
            f"{uri}: this store was made in another folder, its artifacts lie in {found.artifact_location}; "
            "delete it, then `fashionseg import-journals`"
        )
    return found.experiment_id


def local_artifacts(database: Path) -> Path:
    """Where runs of a local SQLite store keep their files. A server knows its own place."""
    return database.parent / "mlartifacts"


def _local_path(file_uri: str) -> Path:
    return Path(unquote(urlsplit(file_uri).path))


def _send_metrics(client: MlflowClient, run_id: str, records: list[Record]) -> None:
    points = [
        Metric(key, value, record["time"], record["step"])
        for record in records
        if record["kind"] == "metrics"
        for key, value in record["values"].items()
    ]
    for start in range(0, len(points), MAX_METRICS):
        client.log_batch(run_id, metrics=points[start : start + MAX_METRICS])


def _send_tags(client: MlflowClient, run_id: str, records: list[Record]) -> None:
    tags: dict[str, str] = {}
    for record in records:
        if record["kind"] == "tags":
            tags |= {key: _text(value) for key, value in record["values"].items()}
    if tags:
        client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def _send_files(client: MlflowClient, run_id: str, journal: Journal, paths: list[str], uri: str) -> None:
    """Each path once, however often it was logged since the last time."""
    if not paths:
        return
    place = client.get_run(run_id).info.artifact_uri
    database = sqlite_file(uri)
    if place.startswith("file:") and database is None and not _local_path(place).parents[1].is_dir():
        return  # a server keeps them on its own machine, out of reach from here: its import brings them in
    for path in dict.fromkeys(paths):
        source = journal.files / path
        folder = PurePosixPath(path).parent.as_posix()
        if place.startswith(PROXIED) and database is not None:
            # The experiment was made through a server (`make ui`) that hands out this folder.
            target = local_artifacts(database) / place.removeprefix(PROXIED).lstrip("/") / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            client.log_artifact(run_id, str(source), None if folder == "." else folder)


def _send_status(client: MlflowClient, run_id: str, records: list[Record]) -> None:
    """RUNNING while a stage runs, then as the last stage ended."""
    steps = [record for record in records if record["kind"] in ("begin", "end")]
    if not steps:
        return
    last = steps[-1]
    if last["kind"] == "begin":
        client.update_run(run_id, status="RUNNING")
    else:
        client.set_terminated(run_id, last["status"], last["time"])


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:MAX_VALUE]


class _Cursors:
    """How much of a journal each tracking URI has: `{uri: {"run_id": ..., "offset": bytes}}`."""

    def __init__(self, path: Path, uri: str) -> None:
        self._path = path
        self._uri = public_uri(uri)
        entry = self._all().get(self._uri, {})
        self.offset: int = entry.get("offset", 0)
        self.run_id: str | None = entry.get("run_id")

    def save(self, offset: int, run_id: str) -> None:
        self.offset, self.run_id = offset, run_id
        values = self._all() | {self._uri: {"run_id": run_id, "offset": offset}}
        with atomic_write(self._path) as temporary:
            temporary.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")

    def _all(self) -> dict[str, Any]:
        try:
            return json.loads(self._path.read_text())
        except (FileNotFoundError, ValueError):
            return {}


@contextmanager
def _store_lock(uri: str) -> Iterator[None]:
    """One process at a time opens a SQLite store: two that create its tables together both fail."""
    database = sqlite_file(uri)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f".{database.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
