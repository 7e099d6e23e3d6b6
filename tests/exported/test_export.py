"""A model folder exported to one file: the same detections, without TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from fashionseg.cli import main
from fashionseg.detections.inference import load_detector, predict_photos
from fashionseg.detections.instances import Thresholds
from fashionseg.detections.store import Detections
from fashionseg.errors import UserError
from fashionseg.exported.convert import to_litert
from fashionseg.exported.file import About, read_about, write_exported
from fashionseg.exported.parity import compare_detections
from fashionseg.exported.runtime import load_exported
from fashionseg.model.api import Network
from fashionseg.model.folder import load_network
from fashionseg.model.networks import build_network
from fashionseg.params import Params, changed
from small_params import make_small_params

REPO = Path(__file__).parents[2]
FOLDERS = REPO / "tests/model/folders"  # networks whose scores differ by more than rounding
NAMES = ("hat", "shoe", "dress", "belt", "sleeve")
THRESHOLDS = Thresholds(0.01, 0.5, 0.45, 3, (0, 1, 2, 4), 0.8, (0, 3))


def photos() -> list[tuple[str, np.ndarray]]:
    """A tall, a wide and a square one."""
    rng = np.random.default_rng(4)
    sizes = ((90, 60), (50, 120), (64, 64))
    return [(f"{n}", rng.integers(0, 256, (*hw, 3), np.uint8)) for n, hw in enumerate(sizes)]


def small_params() -> Params:
    changes = {"score_threshold": 0.0, "nms_threshold": 0.5, "post_nms_top_k": 20, "max_detections": 6}
    return make_small_params({f"inference.{key}": value for key, value in changes.items()})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model folder."""
    params = small_params()
    network = load_network(FOLDERS / "v3", params.inference).network
    path = tmp_path_factory.mktemp("exported") / "model.tflite"
    about = About(NAMES, params.model.image_size, False, 0.5, True, THRESHOLDS, "float32")
    write_exported(path, to_litert(network, "float32"), about)
    return path


def test_the_file_detects_what_the_folder_does(exported: Path) -> None:
    inference = dataclasses.replace(small_params().inference, flip=True, mask_quality=0.5)
    expected = predict_photos(load_detector(FOLDERS / "v3", inference), photos(), 2)
    detector, about = load_exported(exported)
    found = predict_photos(detector, photos(), 2)
    parity = compare_detections(expected, found, inference.score_threshold)
    assert parity.holds, parity
    assert parity.detections > 5  # the control
    assert about.thresholds == THRESHOLDS
    assert detector.category_names == NAMES


def cascade(params: Params) -> Network:
    return load_network(FOLDERS / "v4", params.inference).network


def with_body_parts(params: Params) -> Network:
    """The parts of a stored network, and maps of a body on its pyramid."""
    stored = load_network(FOLDERS / "v3", params.inference)
    network = build_network(changed(stored.model, {"body_parts": "maps"}), len(NAMES), params.inference)
    for part in ("backbone", "fpn", "rpn_head", "box_head", "mask_head"):
        getattr(network, part).set_weights(getattr(stored.network, part).get_weights())
    for weight in network.landmark_maps.weights:
        weight.assign(np.random.default_rng(1).normal(0, 0.1, weight.shape))
    return network


@pytest.mark.parametrize("make", [cascade, pytest.param(with_body_parts, marks=pytest.mark.long)])
def test_each_architecture_is_converted(
    make: Callable[[Params], Network], small_inputs: Callable[..., dict]
) -> None:
    """Compared on one input, as poses come from elsewhere."""
    from ai_edge_litert.interpreter import Interpreter

    network = make(small_params())
    inputs = small_inputs(network.image_size, network.takes_pose)
    expected = network(inputs)
    found = Interpreter(model_content=to_litert(network, "float32")).get_signature_runner("detect")(**inputs)
    for name, values in expected.items():
        np.testing.assert_allclose(
            found[name], keras.ops.convert_to_numpy(values), rtol=1e-3, atol=1e-3, err_msg=name
        )
    assert (found["classes"] > 0).any()


@pytest.fixture
def small_inputs() -> Callable[..., dict]:
    def make(side: int, takes_pose: bool) -> dict:
        rng = np.random.default_rng(1)
        pose = {
            "landmarks": rng.uniform(0, side, (1, 33, 3)).astype(np.float32),
            "person_masks": rng.integers(0, 256, (1, 64, 64), dtype=np.uint8),
        }
        return {
            "images": rng.integers(0, 256, (1, side, side, 3), dtype=np.uint8),
            "windows": np.array([[0, 4, side, side - 4]], np.float32),
            **(pose if takes_pose else {}),
        }

    return make


def without_packages(code: str, *words: object, cwd: Path) -> subprocess.CompletedProcess:
    """Runs Python code in a process where neither TensorFlow nor Keras can be imported."""
    blocked = "".join(f"sys.modules[{name!r}] = None; " for name in ("tensorflow", "keras", "jax", "torch"))
    command = [sys.executable, "-c", f"import sys; {blocked}\n{code}", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def test_predict_needs_no_tensorflow(exported: Path, project: Path) -> None:
    for name, photo in photos():
        cv2.imwrite(f"{name}.png", photo)
    code = "from fashionseg.cli import main; raise SystemExit(main(sys.argv[1:]))"
    words = ("predict", "0.png", "1.png", "2.png", "--weights", exported, "--out", "shown")
    done = without_packages(code, *words, cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    content = json.loads((project / "shown/predictions.json").read_text())
    assert content["thresholds"]["score"] == THRESHOLDS.score
    found = [instance for photo in content["photos"] for instance in photo["instances"]]
    assert found and {instance["category"] for instance in found} <= set(NAMES)


def test_the_server_needs_no_tensorflow(exported: Path, project: Path) -> None:
    photo = cv2.imencode(".png", photos()[0][1])[1].tobytes()
    code = """
from pathlib import Path
from fashionseg.commands.serve import _exported
detect, version = _exported(Path(sys.argv[1]))
print(version, detect(Path("photo.png").read_bytes()), "mlflow" in sys.modules)
"""
    (project / "photo.png").write_bytes(photo)
    done = without_packages(code, exported, cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("model.tflite {'height': 90, 'width': 60, 'instances': [{'category_id': ")
    assert done.stdout.rstrip().endswith("False")


def test_the_example_of_the_docs_runs_as_it_is(exported: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "photo.png"), photos()[0][1])
    code = (REPO / "docs/examples/detect.py").read_text()
    assert "fashionseg" not in "".join(
        line for line in code.splitlines() if line.startswith(("import", "from"))
    )
    script = tmp_path / "detect.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, script, exported, tmp_path / "photo.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert any(line.split()[0] in NAMES for line in done.stdout.splitlines())


def test_the_command_compares_and_writes(
    project: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(FOLDERS / "v3", "models/finetuned")
    Path("shots").mkdir()
    for name, photo in photos():
        cv2.imwrite(f"shots/{name}.png", photo)
    assert main(["export", "model.tflite", "--photos", "shots"]) == 0
    said = capsys.readouterr().out
    assert "compared with TensorFlow" in said and "3 photos, all found" in said
    assert read_about(Path("model.tflite")).categories == NAMES
    # A file that finds something else is not kept.
    Path("model.tflite").unlink()
    monkeypatch.setattr("fashionseg.exported.parity.SCORE_TOLERANCE", -1.0)
    assert main(["export", "model.tflite", "--photos", "shots"]) == 1
    assert not list(Path().glob("*.tflite")) and not list(Path().glob(".*.tflite"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "not a file of `fashionseg export`, or damaged"),
        (lambda data: data[:-40], "not a file of `fashionseg export`, or damaged"),
        (lambda data: data[: len(data) // 2], "not a file of `fashionseg export`, or damaged"),
        (lambda data: data.replace(b'"format": 1', b'"format": 9'), "expected format 1, got 9|damaged"),
    ],
)
@pytest.mark.fault(table="stored-files", case="an exported model that is damaged or none", outcome="one line")
def test_a_damaged_file_is_one_line(exported: Path, tmp_path: Path, change, message: str) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(change(exported.read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        load_exported(path)
    assert "\n" not in str(error.value)


def test_a_zip_with_another_model_is_one_line(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.tflite"
    write_exported(path, b"no model" * 99, read_about(exported))
    with pytest.raises(UserError, match="not a model that LiteRT runs"):
        load_exported(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["fashionseg.json"]


def detections(scores: list[float], shift: float = 0.0, category: int = 2) -> Detections:
    count = len(scores)
    boxes = np.array([[0.1 * n, 0.1, 0.1 * n + 0.09, 0.5 + shift] for n in range(count)])
    masks = np.zeros((count, 4, 4))
    masks[:, :, :2] = 255
    return Detections.build(
        ["a"], np.zeros(count, int), np.full(count, category), np.array(scores), boxes, masks
    )


def test_parity_is_per_detection() -> None:
    expected = detections([0.9, 0.5, 0.3])
    assert compare_detections(expected, detections([0.9, 0.5, 0.3]), 0.05).holds
    parity = compare_detections(expected, detections([0.9, 0.502, 0.3]), 0.05)
    assert parity.score_difference == pytest.approx(0.002, abs=1e-4) and not parity.holds
    assert compare_detections(expected, detections([0.9, 0.5]), 0.05).unmatched == 1
    assert compare_detections(expected, detections([0.9, 0.5]), 0.2995).holds  # at the threshold
    assert compare_detections(expected, detections([0.9, 0.5, 0.3], category=1), 0.05).unmatched == 6
    assert compare_detections(expected, detections([0.9, 0.5, 0.3], shift=0.2), 0.05).unmatched == 6
