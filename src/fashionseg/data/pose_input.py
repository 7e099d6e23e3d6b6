"""Poses in the frame of the network's square input: they move with the pixels; a mirror image swaps left and right."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fashionseg.data.augment import AxisMap, PhotoMap, cv2_matrix, scaling
from fashionseg.data.poses import MASK_SIDE, MIRRORED, Pose

PoseInput = dict[str, NDArray[Any]]


def place_pose(pose: Pose, hw: tuple[int, int], to_square: PhotoMap, side: int) -> PoseInput:
    """A photo's pose as it lies in the square.

    Args:
        hw: height and width of the photo in the pixels that `to_square` maps.
        to_square: from there to the square; where it mirrors, a left landmark becomes the right one.
        side: of the square in pixels.

    Returns:
        `landmarks` float32 [33, 3]: y and x in pixels of the square, visibility; those outside of the square are not
        visible. `person_masks` uint8 [64, 64]: the probability, times 255, of each cell of the square.
    """
    to_square = scaling((1, 1), hw).then(to_square)
    axes = (to_square.y, to_square.x)
    landmarks = pose.landmarks.astype(np.float32, copy=True)
    for column, axis in enumerate(axes):
        landmarks[:, column] = axis.scale * landmarks[:, column] + axis.offset
    inside = np.all((landmarks[:, :2] >= 0) & (landmarks[:, :2] < side), axis=1)
    landmarks[:, 2] *= inside
    if to_square.x.scale < 0:
        landmarks = landmarks[MIRRORED]
    cells = (MASK_SIDE, MASK_SIDE)
    of_cells = scaling(cells, (1, 1)).then(to_square).then(scaling((side, side), cells))
    mask = cv2.warpAffine(pose.mask, cv2_matrix(of_cells), cells, flags=cv2.INTER_LINEAR)
    return {"landmarks": landmarks, "person_masks": np.asarray(mask, np.uint8)}


def place_pose_in_window(pose: Pose, window: tuple[int, int, int, int], side: int) -> PoseInput:
    """As `place_pose`, of a photo that fills the window (y1, x1, y2, x2) of the square."""
    top, left, bottom, right = window
    return place_pose(pose, (1, 1), PhotoMap(AxisMap(bottom - top, top), AxisMap(right - left, left)), side)


def mirror_poses(batch: PoseInput, side: int) -> PoseInput:
    """`landmarks` [B, 33, 3] and `person_masks` [B, 64, 64] of squares mirrored left to right."""
    landmarks = batch["landmarks"][:, MIRRORED] * np.array([1, -1, 1], np.float32)
    return {
        "landmarks": landmarks + np.array([0, side, 0], np.float32),
        "person_masks": batch["person_masks"][:, :, ::-1],
    }
