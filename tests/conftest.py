"""What every test starts from: its tier, no GPU, no MLflow, and no trace of a DVC run around the test run."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest

from programs import CHECKOUT_PATH

# Before Keras or TensorFlow is imported anywhere, and for the processes that tests start.
os.environ["KERAS_BACKEND"] = os.environ.get("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ["DVC_NO_ANALYTICS"] = "1"
os.environ["PYTHONPATH"] = CHECKOUT_PATH
# A shell starts what runs in its background with Ctrl-C ignored; so would all processes be that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Tracing a graph makes objects by the hundred thousand, and looking for garbage among them took a tenth of the time.
gc.set_threshold(50_000, 20, 50)

REPO = Path(__file__).resolve().parent.parent
# Markers that put a test into a tier, see README.md; a test without one is in `make check`.
TIERS = {"slow", "remote", "reference", "long"}
# Fixtures that need what not every machine has, and the marker of the tests that use them.
TIER_OF_FIXTURE = {"host": "remote", "reference_directory": "reference"}
# Folders where every test without a marker of its own is slow, in the order in which they start: the longest first, so
# that parallel workers end together.
SLOW_FOLDERS = ("training", "exported", "tools", "faults", "stages", "fuzz", "sample")

pytest_plugins = ["drawn_photos", "mlflow_stores"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Gives each test of a slow folder its marker, refuses a test in two tiers, and starts slow tests first."""
    places = {}
    for item in items:
        tiers = TIERS & {mark.name for mark in item.iter_markers()}
        tiers |= {tier for fixture, tier in TIER_OF_FIXTURE.items() if fixture in item.fixturenames}
        folder = item.path.relative_to(REPO / "tests").parts[0]
        if folder in SLOW_FOLDERS and not tiers:
            tiers = {"slow"}
        if len(tiers) > 1:
            raise pytest.UsageError(f"{item.nodeid}: expected one marker of a tier, got {sorted(tiers)}")
        for tier in tiers:
            item.add_marker(tier)
        if "remote" in tiers:
            item.add_marker(pytest.mark.xdist_group("remote"))  # the host of the session is one worker's
        place = SLOW_FOLDERS.index(folder) if folder in SLOW_FOLDERS else len(SLOW_FOLDERS)
        places[item.nodeid] = (not tiers, place)
    items.sort(key=lambda item: places[item.nodeid])


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
