"""Several devices share a batch, in training, validation and prediction; more than there are is a clear error."""

import json
from pathlib import Path

import numpy as np
import pytest

from fashionseg import backend
from fashionseg.errors import UserError
from fashionseg.ops.replicas import num_replicas
from programs import run_python


@pytest.mark.parametrize(
    ("architecture", "backend_name", "count"),
    [
        ("toy", "tensorflow", 4),
        ("toy", "jax", 4),
        ("mask_rcnn", "tensorflow", 2),  # it traces a graph for each device
        pytest.param("mask_rcnn", "jax", 4, marks=pytest.mark.long),  # a minute of compilation
    ],
)
def test_several_devices_give_what_one_gives(
    architecture: str, backend_name: str, count: int, tmp_path: Path, repo: Path
) -> None:
    printed = run_python(
        Path(__file__).with_name("several_devices.py"),
        architecture,
        count,
        tmp_path,
        cwd=repo,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend_name},
    )
    assert "devices: 1 of 4 GPUs" in printed
    assert f"devices: {count} of 4 GPUs" in printed
    one, several = (load_result(tmp_path / f"{devices}.npz") for devices in (1, count))
    history_of_one, history = (json.loads(str(result.pop("history"))) for result in (one, several))
    assert len(history) == 2
    for row, expected in zip(history, history_of_one, strict=True):
        assert row.pop("stage") == expected.pop("stage")
        assert row == pytest.approx(expected, rel=1e-4)
    assert ("val_score" in history[0]) is (architecture == "toy")
    shares_of_one, shares = (photos_per_run(str(result.pop("shares"))) for result in (one, several))
    assert set(one) == set(several)
    for name in one:
        tolerance = 1 if name == "detections/mask_probs" else 1e-5  # the bytes of probabilities
        np.testing.assert_allclose(several[name], one[name], rtol=1e-3, atol=tolerance, err_msg=name)
    assert len(one["detections/scores"]) > 0
    assert history[1]["loss"] < 0.99 * history[0]["loss"]  # the control: the network learnt
    # Each of the devices is given its share of four photos, and never the whole batch.
    assert shares_of_one == {"training": {0: {4}}, "validation": {0: {4}}, "prediction": {0: {3}}}
    assert shares == {work: {device: {4 // count} for device in range(count)} for work in shares_of_one}


def photos_per_run(text: str) -> dict[str, dict[int, set[int]]]:
    """Work -> device -> the numbers of photos that it was given at a time."""
    found: dict[str, dict[int, set[int]]] = {}
    for work, device, count in json.loads(text):
        found.setdefault(work, {}).setdefault(device, set()).add(count)
    return found


def load_result(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return dict(arrays)


def test_more_gpus_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "find_gpus", lambda: ["GPU:0"])
    with pytest.raises(UserError, match=r"train\.num_devices: expected at most 1 .*, got 4"):
        backend.shared_between(4)


def test_prediction_uses_the_devices_that_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of a GPU host predicts on a laptop, with the params.yaml of the host."""
    monkeypatch.setattr(backend, "find_gpus", list)
    with backend.device_scope(8)():
        assert num_replicas() == 1


def test_without_a_gpu_one_device_is_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(backend, "find_gpus", list)
    with backend.shared_between(1):
        assert capsys.readouterr().out == "devices: CPU\n"
