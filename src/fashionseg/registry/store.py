"""Versions of the model in MLflow's registry. Beside `tracking.mlflow_store` the only module that calls MLflow."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

# An upload of a whole model may take the server longer than the line of a journal does.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")

from fashionseg.tracking.mlflow_store import PROXIED, local_artifacts, run_id_of  # isort: skip  settings before MLflow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about type hints in MLflow's own code
    import mlflow.pyfunc

from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import ColSpec, Schema

from fashionseg.data.jpeg import encode_jpeg
from fashionseg.errors import UserError
from fashionseg.params import Params, to_dict
from fashionseg.registry.candidate import Candidate, Champion, verdict
from fashionseg.tracking.address import sqlite_file
from fashionseg.tracking.journal import Journal

PACKAGE = Path(__file__).parents[1]
ALIAS = "champion"
PIPELINE_ONLY = {"dvc", "dvc-ssh", "fabric", "invoke", "kaggle", "optuna"}
SCORE_TAG, DATA_TAG, MODEL_TAG = "competition_score", "data_hash", "model_hash"
SIGNATURE = ModelSignature(Schema([ColSpec("binary", "photo")]), Schema([ColSpec("string", "objects")]))


class Registry:
    """The versions of one registered model.

    Args:
        uri: of MLflow, absolute.
        name: of the registered model.
    """

    def __init__(self, uri: str, name: str) -> None:
        self._uri = uri
        self._name = name
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def champion(self) -> Champion | None:
        """The version with the alias; None while there is none."""
        try:
            found = self._client.get_model_version_by_alias(self._name, ALIAS)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return Champion(
            str(found.version), float(found.tags.get(SCORE_TAG, "nan")), found.tags.get(DATA_TAG, "unknown")
        )

    def find(self, model_hash: str) -> str | None:
        """The version that was registered with this hash."""
        versions = self._client.search_model_versions(f"name = '{self._name}'")
        return next((str(one.version) for one in versions if one.tags.get(MODEL_TAG) == model_hash), None)

    def register(self, candidate: Candidate, journal: Journal, config: dict[str, Any]) -> str:
        """Logs the model to the run of `journal` and makes it the next version; `config` as `photo_model` reads it."""
        run = self._client.get_run(run_id_of(journal, self._uri))
        logged = self._client.create_logged_model(
            run.info.experiment_id, "model", run.info.run_id, model_type="pyfunc"
        )
        with tempfile.TemporaryDirectory(prefix="fashionseg-") as folder:
            path = Path(folder) / "model"
            described = Model(
                artifact_path=logged.artifact_location, run_id=run.info.run_id, model_id=logged.model_id
            )
            save_photo_model(path, candidate, config, described)
            served = self._served_folder(logged.artifact_location)
            if served is None:
                self._client.log_model_artifacts(logged.model_id, str(path))
            else:
                shutil.copytree(path, served)
        self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, 0)])
        if not self._client.search_registered_models(f"name = '{self._name}'"):
            self._client.create_registered_model(self._name)
        made = self._client.create_model_version(
            self._name,
            logged.artifact_location,
            run.info.run_id,
            _tags(candidate),
            model_id=logged.model_id,
        )
        return str(made.version)

    def promote(self, version: str) -> None:
        """Points the alias at `version`."""
        self._client.set_registered_model_alias(self._name, ALIAS, version)

    def consider(self, candidate: Candidate, version: str) -> str:
        """Makes `version`, which is the candidate, the champion if `verdict` says so; returns the reason."""
        champion = self.champion()
        if champion is not None and champion.version == version:
            return f"champion is version {version} already"
        is_better, reason = verdict(candidate, champion)
        if is_better:
            self.promote(version)
        return reason

    def load(self, version_or_alias: str) -> tuple[Any, str]:
        """The `PhotoModel` of a version (`3`) or alias (`champion`), and the version's number.

        Raises:
            UserError: there is no such version.
        """
        try:
            if version_or_alias.isdigit():
                found = self._client.get_model_version(self._name, version_or_alias)
            else:
                found = self._client.get_model_version_by_alias(self._name, version_or_alias)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise UserError(
                f"{self._name}: no version {version_or_alias}; `fashionseg register` makes one"
            ) from None
        place = self._client.get_model_version_download_uri(self._name, found.version)
        served = self._served_folder(place)
        mlflow.set_tracking_uri(self._uri)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = mlflow.pyfunc.load_model(place if served is None else str(served))
        return loaded.unwrap_python_model(), str(found.version)

    def _served_folder(self, place: str) -> Path | None:
        """Where `place` lies in this checkout, when a server (`make ui`) hands it out but we talk to its database."""
        database = sqlite_file(self._uri)
        if database is None or not place.startswith(PROXIED):
            return None
        return local_artifacts(database) / place.removeprefix(PROXIED).lstrip("/")


def serving_config(params: Params) -> dict[str, Any]:
    """What `photo_model` needs besides the model folder and the thresholds."""
    return {"max_megapixels": params.decode.max_megapixels, "inference": to_dict(params.inference)}


def save_photo_model(
    path: Path, candidate: Candidate, config: dict[str, Any], described: Model | None = None
) -> None:
    """Writes the MLflow model into the new folder `path`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing type hints, and pandas 3 about MLflow's own code
        _save(path, candidate, config, described)


def _save(path: Path, candidate: Candidate, config: dict[str, Any], described: Model | None) -> None:
    mlflow.pyfunc.save_model(
        path,
        python_model=str(Path(__file__).with_name("photo_model.py")),
        artifacts={"model": str(candidate.model), "thresholds": str(candidate.thresholds)},
        model_config=config,
        signature=SIGNATURE,
        input_example=pd.DataFrame({"photo": [example_photo()]}),
        code_paths=[str(PACKAGE)],  # so that the model can be loaded where this package is not installed
        pip_requirements=requirements(),  # given, because finding them out means loading the model
        mlflow_model=described,
    )


def requirements() -> list[str]:
    """The installed versions of what this package asks for, less what drives the pipeline, and of TensorFlow."""
    names = [text.split(";")[0] for text in requires("fashionseg") or []]
    names = [name.split("=")[0].split("<")[0].split(">")[0].split("[")[0].strip() for name in names]
    pinned = []
    for name in sorted({*names, "tensorflow", "tensorflow-cpu"} - PIPELINE_ONLY):
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:  # one of the two TensorFlows
            continue
    return pinned


def example_photo() -> bytes:
    """A small JPEG: a grey ramp."""
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 1, 3))
    return encode_jpeg(np.ascontiguousarray(ramp), 90)


def _tags(candidate: Candidate) -> dict[str, str]:
    return {
        SCORE_TAG: repr(candidate.score),
        DATA_TAG: candidate.data_hash,
        MODEL_TAG: candidate.model_hash,
    }
