"""Several devices share a batch; more than there are is a clear error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fashionseg.errors import UserError
from fashionseg.training import devices

HERE = Path(__file__).parent


@pytest.mark.pipeline
def test_training_goes_on_two_devices() -> None:
    program = subprocess.run(
        [sys.executable, str(HERE / "two_devices.py"), "2", str(HERE.parents[1] / "params.yaml")],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert program.returncode == 0, program.stderr
    assert "devices: 2 of 2 GPUs" in program.stdout
    first, last = json.loads(program.stdout.splitlines()[-1])
    assert last["loss"] < first["loss"]
    assert last["val_loss"] < first["val_loss"]


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
