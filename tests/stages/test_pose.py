"""The stage `pose`: nothing unless it is asked for; with a stand-in for the estimator on the sample's photos."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fashionseg.data.poses import MASK_SIDE, NUM_LANDMARKS, Pose, read_poses
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, read_yaml
from fashionseg.pose import find, model_files
from fashionseg.stages import pose

TRAIN, TEST = 30, 3


@pytest.fixture
def run(
    sample: Path, run_stage: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Path]:
    """`run(model="mediapipe")`: the stage with changes of its section, into a new folder."""
    monkeypatch.chdir(sample)

    def run(name: str = "pose", **section: object) -> Path:
        values = read_yaml(sample / PARAMS_FILE)
        values["pose"] |= section
        (tmp_path / PARAMS_FILE).write_text(json.dumps(values), encoding="utf-8")
        run_stage(pose.main, decoded="data/decoded", pose=tmp_path / name, params=tmp_path / PARAMS_FILE)
        return tmp_path / name

    return run


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finds a pose that tells the photo's mean, and nobody on a bright photo."""

    class Estimator:
        def __init__(self, folder: Path) -> None:
            pass

        def __call__(self, photo: np.ndarray) -> Pose | None:
            mean = photo.mean() / 255
            if mean > BRIGHT:
                return None
            return Pose(
                np.full((NUM_LANDMARKS, 3), mean, np.float32), np.full((MASK_SIDE, MASK_SIDE), 255, np.uint8)
            )

    monkeypatch.setattr(find, "PoseEstimator", Estimator)
    monkeypatch.setattr(find, "require_pose_model", lambda folder: None)
    monkeypatch.setattr(model_files, "copy_pose_model", lambda source, folder: folder.mkdir())


BRIGHT = 0.6


def test_without_a_model_there_are_no_poses(run: Callable[..., Path]) -> None:
    folder = run()
    assert read_poses(folder / "train.npz").image_ids == ()
    assert json.loads((folder / "report.json").read_text())["model"] == "none"


def test_every_photo_has_a_pose_or_is_counted(
    run: Callable[..., Path], stand_in: None, capsys: pytest.CaptureFixture
) -> None:
    folder = run(model="mediapipe")
    report = json.loads((folder / "report.json").read_text())
    for subset, count in (("train", TRAIN), ("test", TEST)):
        poses = read_poses(folder / f"{subset}.npz")
        assert len(poses.image_ids) == count == report[subset]["photos"]
        missing = [name for name, found in zip(poses.image_ids, poses.is_found, strict=True) if not found]
        assert missing == report[subset]["nobody_on"]
    assert 0 < report["train"]["found"] <= TRAIN
    assert f"{report['train']['found']} of {TRAIN} train photos" in capsys.readouterr().out


def test_the_control_exchanges_the_poses(run: Callable[..., Path], stand_in: None) -> None:
    own = read_poses(run("own", model="mediapipe") / "train.npz")
    given = read_poses(run("control", model="mediapipe", control=True) / "train.npz")
    assert own.image_ids == given.image_ids
    assert sorted(own.landmarks[:, 0, 0]) == sorted(given.landmarks[:, 0, 0])
    assert not np.array_equal(own.landmarks, given.landmarks)


def test_without_the_model_files_the_line_names_the_command(run: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `make pose-model`"):
        run(model="mediapipe")
    assert not (tmp_path / "pose").exists()
