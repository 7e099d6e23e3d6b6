"""Landmarks move with the pixels, whatever the augmentation, and a mirror image swaps left and right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fashionseg import params
from fashionseg.data.augment import Augmenter, scaling, translation
from fashionseg.data.letterbox import letterbox
from fashionseg.data.pose_input import mirror_poses, place_pose, place_pose_in_window
from fashionseg.data.poses import MASK_SIDE, MIRRORED, NUM_LANDMARKS, Pose

SIDE = 128
NO_AUGMENT = params.Augment(
    flip_probability=0.0,
    shift_fraction=0.0,
    scale_range=(1.0, 1.0),
    random_crop=False,
    colour=0.0,
    jpeg_quality=None,
)
AUGMENTATIONS = {
    "flip": replace(NO_AUGMENT, flip_probability=1.0),
    "shift and scale": replace(NO_AUGMENT, shift_fraction=0.1, scale_range=(0.8, 1.2)),
    "all": replace(NO_AUGMENT, flip_probability=0.5, shift_fraction=0.1, scale_range=(0.8, 1.2)),
    "random crop": replace(NO_AUGMENT, flip_probability=0.5, scale_range=(0.7, 1.5), random_crop=True),
}
LEFT, RIGHT = 11, 12  # shoulders
HW = (240, 160)


def spot(y: float, x: float) -> tuple[np.ndarray, Pose]:
    """A dark photo with a bright spot, and a pose whose left shoulder and mask are there."""
    photo = np.zeros((*HW, 3), np.uint8)
    row, column = round(y * HW[0]), round(x * HW[1])
    photo[row - 8 : row + 8, column - 8 : column + 8] = 255
    landmarks = np.zeros((NUM_LANDMARKS, 3), np.float32)
    landmarks[LEFT] = y, x, 1.0
    mask = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
    cell, along = int(y * MASK_SIDE), int(x * MASK_SIDE)
    mask[cell - 2 : cell + 3, along - 3 : along + 4] = 255
    return photo, Pose(landmarks, mask)


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
@pytest.mark.parametrize("seed", range(6))
def test_a_landmark_stays_on_its_pixels(augment: params.Augment, seed: int) -> None:
    photo, pose = spot(0.4, 0.6)
    image, to_square = Augmenter(augment, SIDE)(photo, seed)
    placed = place_pose(pose, HW, to_square, SIDE)
    own = RIGHT if to_square.x.scale < 0 else LEFT
    y, x, visibility = placed["landmarks"][own]
    bright = np.argwhere(image[..., 0] > 128) + 0.5
    if not len(bright):
        assert visibility == 0.0
        return
    whole = len(bright) > 0.9 * (16 * abs(to_square.y.scale)) ** 2
    if whole:  # not cut by the edge of the square
        np.testing.assert_allclose([y, x], bright.mean(axis=0), atol=1.0)
        assert visibility == 1.0
        cells = np.argwhere(placed["person_masks"] > 128) + 0.5
        np.testing.assert_allclose(cells.mean(axis=0) * SIDE / MASK_SIDE, [y, x], atol=3.0)
    assert placed["landmarks"][:, 2].sum() in (0.0, 1.0)


def test_a_landmark_outside_of_the_square_is_not_visible() -> None:
    _, pose = spot(0.4, 0.6)
    placed = place_pose(pose, HW, scaling(HW, (SIDE, SIDE)).then(translation(0, SIDE / 2)), SIDE)
    assert placed["landmarks"][LEFT].tolist() == pytest.approx([0.4 * SIDE, 1.1 * SIDE, 0.0])


def test_a_window_places_as_the_letterbox_does() -> None:
    photo, pose = spot(0.4, 0.6)
    image, window = letterbox(photo, SIDE)
    placed = place_pose_in_window(pose, window, SIDE)
    bright = np.argwhere(image[..., 0] > 128) + 0.5
    np.testing.assert_allclose(placed["landmarks"][LEFT, :2], bright.mean(axis=0), atol=1.0)


def test_mirroring_twice_gives_the_same_and_once_swaps_sides() -> None:
    _, pose = spot(0.4, 0.6)
    one = {name: value[None] for name, value in place_pose_in_window(pose, (0, 0, SIDE, SIDE), SIDE).items()}
    mirrored = mirror_poses(one, SIDE)
    assert mirrored["landmarks"][0, RIGHT].tolist() == pytest.approx([0.4 * SIDE, 0.4 * SIDE, 1.0])
    np.testing.assert_array_equal(mirrored["person_masks"], one["person_masks"][:, :, ::-1])
    for name, value in mirror_poses(mirrored, SIDE).items():
        np.testing.assert_allclose(value, one[name], atol=1e-4)
    np.testing.assert_array_equal(MIRRORED[MIRRORED], np.arange(NUM_LANDMARKS))
