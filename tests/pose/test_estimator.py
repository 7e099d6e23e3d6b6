"""From the crop back to the photo, and the real model on real photos where both are here."""

from __future__ import annotations

from math import pi
from pathlib import Path

import cv2
import numpy as np
import pytest

from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.poses import MASK_SIDE
from fashionseg.pose.estimator import SIDE, PoseEstimator, crop_to_photo, read_pose
from fashionseg.pose.model_files import POSE_MODEL
from fashionseg.pose.person_detector import Region

REPO = Path(__file__).parents[2]
PHOTOS = REPO.parent / "shared/ccp/train"
MODEL = REPO / POSE_MODEL
HIPS, ANKLES, SHOULDERS, NOSE = [23, 24], [27, 28], [11, 12], 0


@pytest.mark.parametrize("angle", [0.0, 0.4, pi / 2, -2.0])
def test_a_spot_of_the_crop_comes_back_to_its_place_on_the_photo(angle: float) -> None:
    photo = np.zeros((200, 160, 3), np.uint8)
    cv2.circle(photo, (90, 70), 6, (255, 255, 255), -1)
    to_photo = crop_to_photo(Region(100.0, 80.0, 150.0, angle))
    crop = cv2.warpAffine(photo, to_photo, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)[
        ..., 0
    ]
    y, x = np.argwhere(crop > 128).mean(axis=0) + 0.5
    values = np.zeros((39, 5), np.float32)
    values[0] = x, y, 0.0, 2.0, 2.0
    logits = np.where(crop > 128, 9.0, -9.0).astype(np.float32)
    pose = read_pose(values.ravel(), logits, to_photo, photo.shape[:2])
    assert pose.landmarks[0].tolist() == pytest.approx(
        [70.5 / 200, 90.5 / 160, 1 / (1 + np.exp(-2.0))], abs=0.006
    )
    cells = np.argwhere(pose.mask > 100) + 0.5
    np.testing.assert_allclose(cells.mean(axis=0) / MASK_SIDE, [70.5 / 200, 90.5 / 160], atol=0.01)


needs_model = pytest.mark.skipif(
    not (MODEL.is_dir() and PHOTOS.is_dir()),
    reason="needs `make pose-model` and real photos beside the project",
)


@needs_model
@pytest.mark.slow
def test_real_people_stand_upright_and_a_mirror_image_has_the_same_pose_mirrored() -> None:
    estimator = PoseEstimator(MODEL)
    paths = sorted(PHOTOS.iterdir())[:8]
    for path in paths:
        photo = decode_jpeg(path.read_bytes())
        pose = estimator(photo)
        assert pose is not None, path.name
        y = pose.landmarks[:, 0]
        assert y[NOSE] < y[SHOULDERS].mean() < y[HIPS].mean() < y[ANKLES].mean(), path.name
        assert pose.mask[tuple((pose.landmarks[HIPS, :2].mean(axis=0) * MASK_SIDE).astype(int))] > 128
        mirrored = estimator(np.ascontiguousarray(photo[:, ::-1]))
        assert mirrored is not None
        left, right = pose.landmarks[11, :2], mirrored.landmarks[12, :2]
        np.testing.assert_allclose([left[0], 1.0 - left[1]], right, atol=0.03)


@needs_model
@pytest.mark.slow
def test_nobody_on_a_wall() -> None:
    assert PoseEstimator(MODEL)(np.full((300, 200, 3), 127, np.uint8)) is None
