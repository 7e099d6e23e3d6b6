"""MLflow databases for tests: the tables are made once a session, as that takes seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store without runs."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def database(project: Path, empty_database: Path) -> Path:
    """An empty store in the project's own place."""
    path = project / ".fashionseg" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_database, path)
    return path
