"""Replays a journal into its MLflow run. Only this module and `fashionseg.registry` import MLflow.

Replaying is idempotent: the run is found by its key, points and parameters sent twice are stored once, and a cursor
per tracking URI, stored next to the journal, marks what has been sent.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

# MLflow reads these at import. Without them one call to a dead server blocks for four minutes.
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
from fashionseg.storage.file_lock import file_lock
from fashionseg.tracking.address import public_uri, sqlite_file
from fashionseg.tracking.journal import Journal, Record, last_event, metric_points

KEY_TAG = "fashionseg.run_key"
PROXIED = "mlflow-artifacts:/"  # artifacts that a server stores and serves
# Without it MLflow shows the page for language models.
KIND = {"mlflow.experimentKind": "custom_model_development"}
MAX_METRICS = 1000  # limits of one log_batch call
MAX_PARAMS = 100
MAX_VALUE = 6000  # characters of a parameter or tag


def replay(journal: Journal, uri: str) -> None:
    """Sends the records of `journal` that the store at `uri` lacks.

    Raises:
        MlflowException: the store refused a call.
        UserError: the journal has no `run` record, or the local store belongs to another folder.
    """
    cursors = _Cursors(journal.folder / "sent.json", uri)
    with _store_lock(uri):
        client = MlflowClient(tracking_uri=uri)
        lifecycle = _lifecycle(client, cursors.run_id)
        if lifecycle == "deleted":  # by a user, on purpose
            return
        if cursors.run_id is None or lifecycle is None:
            cursors.save(0, _find_or_create_run(client, journal, uri))
    run_id = cursors.run_id
    assert run_id is not None
    records, end = journal.read(cursors.offset)
    _send_metrics(client, run_id, records)
    _send_tags(client, run_id, records)
    paths = [record["path"] for record in records if record["kind"] == "file"]
    _send_files(client, run_id, journal, paths, uri)
    _send_status(client, run_id, records)
    cursors.save(end, run_id)


def run_id_of(journal: Journal, uri: str) -> str:
    """The MLflow run id of a journal that `replay` has sent.

    Raises:
        UserError: `journal` was never sent to `uri`.
    """
    run_id = _Cursors(journal.folder / "sent.json", uri).run_id
    if run_id is None:
        raise UserError(f"{journal.folder}: not sent to MLflow yet; run `fashionseg import-journals`")
    return run_id


def _lifecycle(client: MlflowClient, run_id: str | None) -> str | None:
    """`active`, `deleted`, or None for a run that the store does not have (the store may have been deleted)."""
    if run_id is None:
        return None
    try:
        return client.get_run(run_id).info.lifecycle_stage
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _find_or_create_run(client: MlflowClient, journal: Journal, uri: str) -> str:
    """The run with this journal's key; created from the journal's header where there is none."""
    header = journal.header()
    if header is None:
        raise UserError(f"{journal.path}: the `run` record is missing; delete the folder")
    experiment_id = _experiment_id(client, header["experiment"], uri)
    found = client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{header['key']}'", max_results=1)
    run = found[0] if found else _create_run(client, experiment_id, header)
    params = [Param(key, _text(value)) for key, value in header["params"].items()]
    for start in range(0, len(params), MAX_PARAMS):
        client.log_batch(run.info.run_id, params=params[start : start + MAX_PARAMS])
    return run.info.run_id


def _create_run(client: MlflowClient, experiment_id: str, header: Record) -> Run:
    tags = {key: _text(value) for key, value in header["tags"].items()} | {KEY_TAG: header["key"]}
    tags["mlflow.source.name"] = "dvc.yaml"
    tags["mlflow.source.git.commit"] = tags.get("git.commit", "")
    return client.create_run(experiment_id, header["time"], tags, header["name"])


def _experiment_id(client: MlflowClient, name: str, uri: str) -> str:
    database = sqlite_file(uri)
    artifacts = None if database is None else local_artifacts(database).as_uri()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifacts, KIND)
        except MlflowException:  # another stage created it meanwhile
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if artifacts and found.artifact_location not in (artifacts, f"{PROXIED}{found.experiment_id}"):
        raise UserError(
            f"{uri}: this store was created in another folder, its artifacts are in {found.artifact_location}; "
            "delete it, then run `fashionseg import-journals`"
        )
    return found.experiment_id


def local_artifacts(database: Path) -> Path:
    """Artifact folder of a local SQLite store. A server has its own."""
    return database.parent / "mlartifacts"


def served_folder(artifact_uri: str, uri: str) -> Path | None:
    """Local folder of artifacts that a server (`make ui`) serves, when `uri` is the server's database; else None."""
    database = sqlite_file(uri)
    if database is None or not artifact_uri.startswith(PROXIED):
        return None
    return local_artifacts(database) / artifact_uri.removeprefix(PROXIED).lstrip("/")


def _send_metrics(client: MlflowClient, run_id: str, records: list[Record]) -> None:
    points = [Metric(point.name, point.value, point.time, point.step) for point in metric_points(records)]
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
    """Uploads each path once, even if it was logged several times since the last replay."""
    if not paths:
        return
    place = client.get_run(run_id).info.artifact_uri
    is_on_server = place.startswith("file:") and sqlite_file(uri) is None
    if is_on_server and not Path(unquote(urlsplit(place).path)).parents[1].is_dir():
        return  # files on the server's machine: only an import there can store them
    served = served_folder(place, uri)
    for path in dict.fromkeys(paths):
        source = journal.files / path
        if served is None:
            folder = PurePosixPath(path).parent.as_posix()
            client.log_artifact(run_id, str(source), None if folder == "." else folder)
        else:
            target = served / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _send_status(client: MlflowClient, run_id: str, records: list[Record]) -> None:
    """Status RUNNING while a stage runs, then that of the last stage's end."""
    last = last_event(records)
    if last is None:
        return
    if last["kind"] == "begin":
        client.update_run(run_id, status="RUNNING")
    else:
        client.set_terminated(run_id, last["status"], last["time"])


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:MAX_VALUE]


class _Cursors:
    """How much of a journal has been sent to each tracking URI: `{uri: {"run_id": ..., "offset": bytes}}`."""

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
    """A lock around opening a SQLite store: two processes that create its tables at the same time both fail."""
    database = sqlite_file(uri)
    if database is None:
        yield
        return
    with file_lock(database.with_name(f".{database.name}.lock"), math.inf):
        yield
