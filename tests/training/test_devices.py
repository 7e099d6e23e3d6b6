"""Several devices share a batch; more than there are is a clear error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.training import devices

HERE = Path(__file__).parent


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_four_devices_train_as_one_does(backend: str, tmp_path: Path) -> None:
    one, four = (_train_on(backend, count, tmp_path / f"{count}.npz") for count in (1, 4))
    history_of_one, history = (json.loads(str(its["history"])) for its in (one, four))
    assert len(history) == 2
    for row, expected in zip(history, history_of_one, strict=True):
        assert row.pop("stage") == expected.pop("stage")
        assert row == pytest.approx(expected, rel=1e-4)
    names = set(one) - {"history"}
    assert names == set(four) - {"history"}
    for name in names:
        np.testing.assert_allclose(four[name], one[name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert history[1]["val_loss"] < 0.9 * history[0]["val_loss"]  # something was learnt


def _train_on(backend: str, num_devices: int, out: Path) -> dict[str, np.ndarray]:
    program = subprocess.run(
        [sys.executable, HERE / "several_devices.py", str(num_devices), HERE.parents[1] / "params.yaml", out],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend},
    )
    assert program.returncode == 0, program.stderr
    assert f"devices: {num_devices} of {num_devices} GPUs" in program.stdout
    with np.load(out) as arrays:
        return dict(arrays)


def test_more_gpus_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "find_gpus", lambda: ["GPU:0"])
    with (
        pytest.raises(UserError, match=r"train\.gpu_count: expected at most 1 .*, got 4"),
        devices.shared_between(4),
    ):
        pass


def test_without_a_gpu_one_device_is_the_cpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(devices, "find_gpus", list)
    with devices.shared_between(1):
        assert capsys.readouterr().out == "devices: CPU\n"
