"""A photo to the landmarks of the person on it: detector first, then the landmark model on an upright crop."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fashionseg.data.poses import MASK_SIDE, NUM_LANDMARKS, Pose
from fashionseg.pose.model_files import DETECTOR, LANDMARKS, require_pose_model
from fashionseg.pose.person_detector import PersonDetector, Region
from fashionseg.pose.tflite import load_tflite

SIDE: Final = 256  # pixels of the landmark model's input
MIN_PRESENCE: Final = 0.5
_OVERSAMPLING = 4  # of the mask's cells along each axis, averaged


class PoseEstimator:
    """Finds the largest person of a photo: in fashion photos the others are passers-by.

    Args:
        folder: with the files of `model_files`.

    Raises:
        UserError: a file is missing or damaged, or LiteRT is not installed.
    """

    def __init__(self, folder: Path) -> None:
        require_pose_model(folder)
        self._people = PersonDetector(folder / DETECTOR)
        self._landmarks = load_tflite(folder / LANDMARKS)

    def __call__(self, photo: NDArray[np.uint8]) -> Pose | None:
        """The pose on an RGB photo [H, W, 3]; None where no person is found."""
        for region in self._people(photo):
            to_photo = crop_to_photo(region)
            crop = cv2.warpAffine(
                photo, to_photo, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
            outputs = self._landmarks(np.asarray(crop, np.float32) / 255.0)
            if outputs["Identity_1"][0] >= MIN_PRESENCE:
                return read_pose(
                    outputs["Identity"], outputs["Identity_2"][..., 0], to_photo, photo.shape[:2]
                )
        return None


def crop_to_photo(region: Region) -> NDArray[np.float64]:
    """The affine map [2, 3] from (x, y) in pixels of the crop to the photo's, for cv2: integers are pixel centres."""
    scale = region.side / SIDE
    cos, sin = scale * np.cos(region.angle), scale * np.sin(region.angle)
    turn = np.array([[cos, -sin], [sin, cos]])
    middle = np.full(2, SIDE / 2 - 0.5)
    return np.column_stack([turn, np.array([region.x, region.y]) - 0.5 - turn @ middle])


def read_pose(
    values: NDArray[np.float32],
    mask_logits: NDArray[np.float32],
    to_photo: NDArray[np.float64],
    hw: tuple[int, int],
) -> Pose:
    """The landmark model's outputs in the frame of the photo.

    Args:
        values: [195], rows of x, y, z in pixels of the crop and the logits of visibility and presence.
        mask_logits: [256, 256], of the person.
        to_photo: see `crop_to_photo`.
        hw: height and width of the photo.
    """
    rows = values.reshape(-1, 5)[:NUM_LANDMARKS].astype(np.float64)
    # A landmark is a continuous coordinate: pixel centres, which the map takes, are half a pixel on.
    x, y = to_photo @ np.stack([rows[:, 0] - 0.5, rows[:, 1] - 0.5, np.ones(len(rows))]) + 0.5
    landmarks = np.stack([y / hw[0], x / hw[1], _sigmoid(rows[:, 3])], axis=1)
    fine = MASK_SIDE * _OVERSAMPLING
    cells_per_pixel = np.array([[fine / hw[1]], [fine / hw[0]]])
    to_cells = cells_per_pixel * to_photo
    to_cells[:, 2:] += 0.5 * cells_per_pixel - 0.5
    person = cv2.warpAffine(
        _sigmoid(mask_logits).astype(np.float32), to_cells, (fine, fine), flags=cv2.INTER_LINEAR
    )
    mask = cv2.resize(person, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
    return Pose(landmarks.astype(np.float32), np.round(mask * 255.0).astype(np.uint8))


def _sigmoid(values: NDArray) -> NDArray:
    return 1.0 / (1.0 + np.exp(-np.clip(values, -80.0, 80.0)))
