"""Versions of the model in MLflow's registry. Besides `tracking.mlflow_store` the only module that calls MLflow."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from packaging.requirements import Requirement

# Uploading a model may take the server longer than a journal's records.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")

from fashionseg.tracking.mlflow_store import run_id_of, served_folder  # isort: skip  settings before MLflow

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about type hints in MLflow's own code
    import mlflow.pyfunc

from mlflow.entities import LoggedModelOutput
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import ColSpec, Schema

from fashionseg.data.jpeg import encode_jpeg
from fashionseg.errors import UserError
from fashionseg.registry.candidate import Candidate, Champion, verdict
from fashionseg.tracking.journal import Journal
from fashionseg.tracking.scores import SCORE

PACKAGE = Path(__file__).parents[1]
ALIAS = "champion"
# MLflow's error codes for an unknown version or alias.
NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
PIPELINE_ONLY = {"dvc", "dvc-s3", "dvc-ssh", "fabric", "invoke", "kaggle", "optuna"}
SCORE_TAG, DATA_TAG, MODEL_TAG = SCORE, "data_hash", "model_hash"
SIGNATURE = ModelSignature(Schema([ColSpec("binary", "photo")]), Schema([ColSpec("string", "objects")]))


class Registry:
    """The versions of the registered model `name` in the MLflow at `uri`, an absolute tracking URI."""

    def __init__(self, uri: str, name: str) -> None:
        self._uri = uri
        self._name = name
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def champion(self) -> Champion | None:
        """The version with the alias `champion`; None before the first."""
        found = self._version(ALIAS)
        if found is None:
            return None
        score, data_hash = found.tags.get(SCORE_TAG, "nan"), found.tags.get(DATA_TAG, "unknown")
        return Champion(str(found.version), float(score), data_hash)

    def find(self, model_hash: str) -> str | None:
        """The version registered with this hash; None if there is none."""
        query = f"name = '{self._name}' and tags.{MODEL_TAG} = '{model_hash}'"
        found = self._client.search_model_versions(query, max_results=1)
        return str(found[0].version) if found else None

    def register(self, candidate: Candidate, journal: Journal) -> str:
        """Logs the model to the run of `journal` and registers it as the next version."""
        run = self._client.get_run(run_id_of(journal, self._uri))
        logged = self._client.create_logged_model(
            run.info.experiment_id, "model", run.info.run_id, model_type="pyfunc"
        )
        with tempfile.TemporaryDirectory(prefix="fashionseg-") as folder:
            path = Path(folder) / "model"
            _save_photo_model(
                path, candidate, Model(logged.artifact_location, run.info.run_id, model_id=logged.model_id)
            )
            served = served_folder(logged.artifact_location, self._uri)
            if served is None:
                self._client.log_model_artifacts(logged.model_id, str(path))
            else:
                shutil.copytree(path, served)
        self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(run.info.run_id, [LoggedModelOutput(logged.model_id, 0)])
        if not self._client.search_registered_models(f"name = '{self._name}'"):
            self._client.create_registered_model(self._name)
        tags = {
            SCORE_TAG: repr(candidate.score),
            DATA_TAG: candidate.data_hash,
            MODEL_TAG: candidate.model_hash,
        }
        made = self._client.create_model_version(
            self._name, logged.artifact_location, run.info.run_id, tags, model_id=logged.model_id
        )
        return str(made.version)

    def promote(self, version: str) -> None:
        self._client.set_registered_model_alias(self._name, ALIAS, version)

    def consider(self, candidate: Candidate, version: str) -> str:
        """Promotes the candidate's `version` if it beats the champion (`verdict`); returns the reason."""
        champion = self.champion()
        if champion is not None and champion.version == version:
            return f"champion: already version {version}"
        is_better, reason = verdict(candidate, champion)
        if is_better:
            self.promote(version)
        return reason

    def load(self, version_or_alias: str) -> tuple[Any, str]:
        """The `PhotoModel` of a version (`3`) or alias (`champion`), and the version number.

        Raises:
            UserError: no such version.
        """
        found = self._version(version_or_alias)
        if found is None:
            raise UserError(
                f"{self._name}: no version {version_or_alias}; run `fashionseg register` to register one"
            )
        place = self._client.get_model_version_download_uri(self._name, found.version)
        served = served_folder(place, self._uri)
        mlflow.set_tracking_uri(self._uri)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = mlflow.pyfunc.load_model(place if served is None else str(served))
        return loaded.unwrap_python_model(), str(found.version)

    def _version(self, version_or_alias: str) -> ModelVersion | None:
        client = self._client
        get = client.get_model_version if version_or_alias.isdigit() else client.get_model_version_by_alias
        try:
            return get(self._name, version_or_alias)
        except MlflowException as error:
            if error.error_code in NOT_FOUND:
                return None
            raise


def _save_photo_model(path: Path, candidate: Candidate, described: Model) -> None:
    """Writes the MLflow model to the new folder `path`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about missing type hints, and pandas 3 about MLflow's own code
        mlflow.pyfunc.save_model(
            path,
            python_model=str(Path(__file__).with_name("photo_model.py")),
            artifacts={"model": str(candidate.model), "thresholds": str(candidate.thresholds)},
            model_config=candidate.config,
            signature=SIGNATURE,
            input_example=pd.DataFrame({"photo": [example_photo()]}),
            code_paths=[str(PACKAGE)],  # the model also loads where this package is not installed
            pip_requirements=requirements(),  # explicit, because inferring them loads the model
            mlflow_model=described,
        )


def requirements() -> list[str]:
    """Installed versions of this package's requirements, without those of the pipeline only, and of TensorFlow."""
    names = {Requirement(text).name for text in requires("fashionseg") or []}
    pinned = []
    for name in sorted({*names, "tensorflow", "tensorflow-cpu"} - PIPELINE_ONLY):
        with contextlib.suppress(PackageNotFoundError):  # one of the two TensorFlow packages
            pinned.append(f"{name}=={version(name)}")
    return pinned


def example_photo() -> bytes:
    """A small JPEG of a grey ramp."""
    return encode_jpeg(np.tile(np.arange(0, 256, 4, dtype=np.uint8)[:, None], (64, 1, 3)), 90)
