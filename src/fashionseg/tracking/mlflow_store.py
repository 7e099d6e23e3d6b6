"""Replays a journal into its MLflow run. Only this module and `fashionseg.registry` import MLflow.

Replaying is idempotent: the run is found by its key, points and parameters sent twice are stored once, and a cursor
per tracking URI, stored next to the journal, marks what has been sent.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

# MLflow reads these at import. Without them one call to a dead server blocks for four minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from fashionseg.errors import UserError
from fashionseg.storage.file_lock import file_lock
from fashionseg.storage.json_file import write_json
from fashionseg.tracking.address import public_uri, sqlite_file
from fashionseg.tracking.journal import Journal, last_event, metric_points

KEY_TAG = "fashionseg.run_key"
PROXIED = "mlflow-artifacts:/"  # artifacts that a server stores and serves
# Without it MLflow shows the page for language models.
KIND = {"mlflow.experimentKind": "custom_model_development"}
MAX_BATCH = {"metrics": 1000, "params": 100, "tags": 100}  # limits of one log_batch call
MAX_VALUE = 6000  # characters of a parameter or tag


def replay(journal: Journal, uri: str) -> None:
    """Sends the records of `journal` that the store at `uri` lacks.

    Raises:
        MlflowException: the store refused a call.
        UserError: the journal has no `run` record, or the local store belongs to another folder.
    """
    run_id, offset = _read_cursor(journal, uri)
    with _store_lock(uri):
        client = MlflowClient(tracking_uri=uri)
        lifecycle = _lifecycle(client, run_id)
        if lifecycle == "deleted":  # by a user, on purpose
            return
        if lifecycle is None:
            run_id, offset = _find_or_create_run(client, journal, uri), 0
            _save_cursor(journal, uri, run_id, offset)
    records, end = journal.read(offset)
    points = [Metric(point.name, point.value, point.time, point.step) for point in metric_points(records)]
    _send(client, run_id, "metrics", points)
    updates = [record["values"] for record in records if record["kind"] == "tags"]
    tags = {key: value for values in updates for key, value in values.items()}
    _send(client, run_id, "tags", [RunTag(key, _text(value)) for key, value in tags.items()])
    paths = [record["path"] for record in records if record["kind"] == "file"]
    _send_files(client, run_id, journal, paths, uri)
    last = last_event(records)
    if last is not None and last["kind"] == "begin":
        client.update_run(run_id, status="RUNNING")
    elif last is not None:
        client.set_terminated(run_id, last["status"], last["time"])
    _save_cursor(journal, uri, run_id, end)


def run_id_of(journal: Journal, uri: str) -> str:
    """The MLflow run id of a journal that `replay` has sent.

    Raises:
        UserError: `journal` was never sent to `uri`.
    """
    run_id, _ = _read_cursor(journal, uri)
    if not run_id:
        raise UserError(f"{journal.folder}: not sent to MLflow yet; run `fashionseg import-journals`")
    return run_id


def _lifecycle(client: MlflowClient, run_id: str) -> str | None:
    """`active`, `deleted`, or None for a run that the store does not have (the store may have been deleted)."""
    if not run_id:
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
    if not header:
        raise UserError(f"{journal.path}: the `run` record is missing; delete the folder")
    experiment_id = _experiment_id(client, header["experiment"], uri)
    found = client.search_runs([experiment_id], f"tags.`{KEY_TAG}` = '{header['key']}'", max_results=1)
    if found:
        run = found[0]
    else:
        tags = {key: _text(value) for key, value in header["tags"].items()} | {KEY_TAG: header["key"]}
        tags["mlflow.source.name"] = "dvc.yaml"
        tags["mlflow.source.git.commit"] = tags.get("git.commit", "")
        run = client.create_run(experiment_id, header["time"], tags, header["name"])
    params = [Param(key, _text(value)) for key, value in header["params"].items()]
    _send(client, run.info.run_id, "params", params)
    return run.info.run_id


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
            f"{database}: this store was created in another folder, its artifacts are in {found.artifact_location}; "
            f"`mv {database} {database}.old && fashionseg import-journals` writes a new one"
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


def _send(client: MlflowClient, run_id: str, kind: str, items: list[Any]) -> None:
    """Logs metrics, params or tags in batches that MLflow accepts."""
    for start in range(0, len(items), MAX_BATCH[kind]):
        batch: dict[str, Any] = {kind: items[start : start + MAX_BATCH[kind]]}
        client.log_batch(run_id, **batch)


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
            client.log_artifact(run_id, str(source), path.rpartition("/")[0] or None)
        else:
            target = served / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:MAX_VALUE]


def _cursors(journal: Journal) -> dict[str, Any]:
    """How much of a journal has been sent to each tracking URI: `{uri: {"run_id": ..., "offset": bytes}}`."""
    try:
        return json.loads((journal.folder / "sent.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _read_cursor(journal: Journal, uri: str) -> tuple[str, int]:
    """Id of the MLflow run, empty if the journal was never sent to `uri`, and the bytes sent."""
    entry = _cursors(journal).get(public_uri(uri), {})
    return entry.get("run_id", ""), entry.get("offset", 0)


def _save_cursor(journal: Journal, uri: str, run_id: str, offset: int) -> None:
    entry = {public_uri(uri): {"run_id": run_id, "offset": offset}}
    write_json(journal.folder / "sent.json", _cursors(journal) | entry)


def _store_lock(uri: str) -> AbstractContextManager[object]:
    """A lock around opening a SQLite store: two processes that create its tables at the same time both fail."""
    database = sqlite_file(uri)
    if database is None:
        return nullcontext()
    return file_lock(database.with_name(f".{database.name}.lock"), math.inf)
