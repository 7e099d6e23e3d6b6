"""A tiny model is registered, compared with the champion, and served."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashionseg.cli import main
from fashionseg.data.jpeg import encode_jpeg
from fashionseg.data.rle import parse_rle, runs_area
from fashionseg.data.tables import pack_runs
from fashionseg.registry.candidate import Candidate, Champion, read_candidate, verdict
from fashionseg.tracking.dvc_lock import dvc_md5
from fashionseg.tracking.journal import Journal, stored_journals
from small_params import make_small_params

# MLflow's own use of SQLAlchemy.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
]

TINY = {"model.box_head.channels": 16, "inference.score_threshold": 0.0, "inference.max_detections": 5}
# Everything passes: the scores of an untrained network are low.
CONFIG = {"max_megapixels": 120.0}
THRESHOLDS = {"score": 0.0, "nms": 0.9, "mask": 0.01, "min_area": 1}


@pytest.fixture(scope="session")
def network_folder(tmp_path_factory: pytest.TempPathFactory, repo_params: Path) -> Path:
    """A model folder with random weights."""
    from fashionseg.backend import make_reproducible
    from fashionseg.model.folder import save_network
    from fashionseg.model.networks import build_network
    from fashionseg.taxonomy import competition_taxonomy

    params = make_small_params(TINY)
    names = competition_taxonomy().category_names
    make_reproducible(1, deterministic=False)
    folder = tmp_path_factory.mktemp("network")
    save_network(build_network(params.model, len(names), params.inference), params.model, names, folder)
    return folder


@pytest.fixture(scope="session")
def repo_params() -> Path:
    return Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def trained(project: Path, network_folder: Path) -> Path:
    """The files of a finished pipeline run that the registry reads."""
    shutil.copytree(network_folder, project / "models/finetuned")
    (project / "models/finetuned/history.csv").write_text("epoch,loss,val_loss\n1,2.0,3.0\n")
    (project / "reports").mkdir()
    (project / "reports/thresholds.json").write_text(json.dumps(THRESHOLDS))
    (project / "data/splits").mkdir(parents=True)
    (project / "data/splits/train.txt").write_text("a\n")
    (project / "data/splits/validation.txt").write_text("b\n")
    write_truths(project, "1 5")
    write_scores(project, 0.25)
    return project


def write_truths(project: Path, rle: str) -> None:
    (project / "data/decoded").mkdir(exist_ok=True)
    table = pd.DataFrame({"image_id": ["a", "b"], "category": [0, 1], "class_id": ["0", "1"]})
    runs = [pack_runs(parse_rle(text, 512, 512)) for text in ("7 3", rle)]
    table.assign(runs_512=runs).to_parquet(project / "data/decoded/instances.parquet")


def write_scores(project: Path, score: float, **more: str) -> None:
    """Scores, and a dvc.lock that records them for this model."""
    metrics = project / "reports/metrics.json"
    figures = {"competition_score": score, "coco": {"mask": {"ap": None, "ap50": 0.5}}}
    metrics.write_text(json.dumps({**figures, **more}))
    entries = {
        "deps": [{"path": "models/finetuned", "md5": dvc_md5(project / "models/finetuned")}],
        "outs": [{"path": "reports/metrics.json", "md5": dvc_md5(metrics)}],
    }
    (project / "dvc.lock").write_text(json.dumps({"stages": {"evaluate": entries}}))


def change_weights(project: Path) -> None:
    """Changes the bytes of the model folder, as another training would."""
    architecture = project / "models/finetuned/model.json"
    architecture.write_text(architecture.read_text() + " ")


def only_journal(project: Path) -> Journal:
    (journal,) = stored_journals(project / ".fashionseg/journal")
    return journal


# --- promotion -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("champion", "becomes"),
    [
        (None, True),
        (Champion("1", 0.24, "same"), True),
        (Champion("1", 0.25, "same"), False),  # not better
        (Champion("1", 0.26, "same"), False),
        (Champion("1", 0.01, "other"), False),  # not comparable
    ],
)
def test_only_a_higher_score_on_the_same_data_beats_the_champion(
    champion: Champion | None, becomes: bool
) -> None:
    candidate = Candidate(Path(), Path(), CONFIG, {"competition_score": 0.25}, "same", "hash")
    assert verdict(candidate, champion)[0] is becomes


def test_data_hash_depends_on_validation_photos_and_ground_truth_only(trained: Path) -> None:
    before = read_candidate(trained, CONFIG).data_hash
    write_truths(trained, "1 6")
    assert read_candidate(trained, CONFIG).data_hash != before
    write_truths(trained, "1 5")
    assert read_candidate(trained, CONFIG).data_hash == before
    (trained / "data/splits/train.txt").write_text("c\n")
    assert read_candidate(trained, CONFIG).data_hash == before
    (trained / "data/splits/validation.txt").write_text("a\n")
    assert read_candidate(trained, CONFIG).data_hash != before


def test_model_hash_depends_on_model_thresholds_and_configuration(trained: Path) -> None:
    """A changed inference parameter is a new version: the registered model is served with its own parameters."""
    before = read_candidate(trained, CONFIG).model_hash
    assert read_candidate(trained, CONFIG).model_hash == before
    assert read_candidate(trained, {"max_megapixels": 60.0}).model_hash != before
    (trained / "reports/thresholds.json").write_text(json.dumps(THRESHOLDS | {"score": 0.1}))
    assert read_candidate(trained, CONFIG).model_hash != before


def test_scores_of_another_label_are_not_comparable(trained: Path) -> None:
    before = read_candidate(trained, CONFIG).data_hash
    write_scores(trained, 0.25, label="category")
    assert read_candidate(trained, CONFIG).data_hash == before
    write_scores(trained, 0.25, label="classid")
    assert read_candidate(trained, CONFIG).data_hash != before


def test_scores_of_another_model_are_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A `dvc repro` stopped between training and evaluation leaves such scores."""
    change_weights(trained)
    assert main(["register"]) == 2
    assert capsys.readouterr().err == (
        "error: models/finetuned: differs from the version evaluated in dvc.lock; run `dvc repro`\n"
    )


def test_missing_server_is_a_one_line_error(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for command in ("register", "serve"):
        assert main([command]) == 2
        assert capsys.readouterr().err == (
            "error: MLflow: no server listens at http://127.0.0.1:9; "
            "start it or correct the address (MLFLOW_TRACKING_URI, tracking.uri)\n"
        )


def bomb() -> bytes:
    """A small file of 144 megapixels."""
    buffer = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(buffer, "PNG")
    return buffer.getvalue()


# --- with MLflow ---------------------------------------------------------------------------------------------------


@pytest.mark.fault(table="secrets", case="a body too long, of too many pixels, too slow, or not a photo")
def test_champion_is_served_over_http(trained: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Register a first model, a worse one and a better one; serve the champion; ask it."""
    from mlflow.tracking import MlflowClient

    assert main(["register"]) == 0
    assert "registered: version 1, score 0.2500\nchampion: first model" in capsys.readouterr().out
    assert main(["register"]) == 0  # again: nothing new
    assert "already registered: version 1\nchampion: already version 1" in capsys.readouterr().out

    change_weights(trained)
    write_scores(trained, 0.2)
    assert main(["register"]) == 0
    assert "champion remains version 1: score 0.2000, version 1 scored 0.2500" in capsys.readouterr().out
    change_weights(trained)
    write_scores(trained, 0.3)
    assert main(["register"]) == 0
    assert "champion: score 0.3000, version 1 scored 0.2500" in capsys.readouterr().out

    client = MlflowClient(f"sqlite:///{store}")
    champion = client.get_model_version_by_alias("fashionseg", "champion")
    assert (str(champion.version), champion.tags["competition_score"]) == ("3", "0.3")
    run = client.get_run(champion.run_id)  # the run with the curves and scores of this model
    assert run.data.metrics["competition_score"] == 0.3
    assert run.data.metrics["val_loss"] == 3.0

    with serving(trained) as address:
        assert ask(address, "GET", "/health")[1]["version"] == "3"
        photo = np.random.default_rng(0).integers(0, 256, (80, 40, 3), dtype=np.uint8)
        status, answer = ask(address, "POST", "/predict", encode_jpeg(photo, 90))
        assert status == 200
        assert (answer["height"], answer["width"]) == (80, 40)
        assert answer["instances"]
        for instance in answer["instances"]:
            y1, x1, y2, x2 = instance["box"]
            assert 0 <= y1 < y2 <= 80 and 0 <= x1 < x2 <= 40
            assert 0 <= instance["score"] <= 1 and 0 <= instance["category_id"] < 46
            assert runs_area(parse_rle(instance["rle"], 80, 40)) == instance["area"] > 0
        assert ask(address, "POST", "/predict", b"no photo")[0] == 400
        status, answer = ask(address, "POST", "/predict", bomb())
        assert status == 400 and "expected at most 120 megapixels, got 12000 x 12000" in answer["error"]


LOAD_IN_PLAIN_MLFLOW = """
import json, sys, mlflow, pandas as pd
from mlflow.exceptions import MlflowException
model = mlflow.pyfunc.load_model("models:/fashionseg@champion")
photo = model.input_example["photo"][0]
objects = model.predict(pd.DataFrame({"photo": [photo, photo]}))["objects"]
assert [json.loads(text)["height"] for text in objects] == [64, 64]
import fashionseg
assert not fashionseg.__file__.startswith(sys.argv[1]), fashionseg.__file__
try:
    model.predict(pd.DataFrame({"photo": [b"no photo"]}))
except MlflowException as error:
    assert error.error_code == "INVALID_PARAMETER_VALUE"
else:
    sys.exit("accepted")
"""


def test_model_registered_through_a_server_loads_in_plain_mlflow_and_from_the_local_store(
    trained: Path, store: Path, repo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Plain MLflow loads the packaged code as `mlflow models serve` does; the server is that of `make ui`."""
    from fashionseg.registry.store import Registry, example_photo

    with mlflow_server(store) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert main(["register"]) == 0
        command = [sys.executable, "-c", LOAD_IN_PLAIN_MLFLOW, str(repo / "src")]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
    model, version = Registry(f"sqlite:///{store}", "fashionseg").load("champion")
    assert version == "1"
    assert model.detect(example_photo())["width"] == 64


@contextmanager
def mlflow_server(store: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{store}"]
    command += ["--artifacts-destination", str(store.parent / "mlartifacts"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (store.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                assert ask(("127.0.0.1", port), "GET", "/version")[0] == 200
                break
            except (OSError, ValueError):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def store(database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's local MLflow store."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    return database


class serving:
    """`fashionseg serve` as a subprocess."""

    def __init__(self, project: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.address = listener.getsockname()
        self.command = [sys.executable, "-m", "fashionseg.cli", "serve", "--port", str(self.address[1])]
        self.log = project / "serve.log"

    def __enter__(self) -> tuple[str, int]:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=os.environ)
        deadline = time.monotonic() + 300
        while True:
            try:
                socket.create_connection(self.address, 1).close()
                return self.address
            except OSError:
                assert self.process.poll() is None and time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.2)

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(60) == 0, self.log.read_text()


def ask(address: tuple[str, int], method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(*address, timeout=120)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text.startswith(b"{") else text
    finally:
        connection.close()
