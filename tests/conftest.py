"""What every test starts from: no GPU, no MLflow, and no trace of a DVC run around the test run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Before Keras or TensorFlow is imported anywhere, and for the processes that tests start.
os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ["DVC_NO_ANALYTICS"] = "1"
# A shell starts what runs in its background with Ctrl-C ignored; so would all processes be that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPO = Path(__file__).resolve().parent.parent

pytest_plugins = ["drawn_photos"]


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals stay where the test runs and reach no MLflow; a test of MLflow switches it on for itself."""
    for name in list(os.environ):
        if name.startswith(("DVC_EXP", "DVC_ROOT", "DVC_STAGE", "MLFLOW_", "FASHIONSEG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FASHIONSEG_TRACKING", "off")


@pytest.fixture
def repo() -> Path:
    """The checkout under test."""
    return REPO


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project in which commands run: params.yaml and the presets, as committed."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "params.yaml").write_text((REPO / "params.yaml").read_text())
    (tmp_path / "presets").mkdir()
    for preset in (REPO / "presets").glob("*.yaml"):
        (tmp_path / "presets" / preset.name).write_text(preset.read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path
