"""Body landmarks and person masks of photos: what the stage `pose` writes, and the loader and the report read.

The 33 landmarks are MediaPipe's (Bazarevsky et al. 2020, BlazePose), in its order. A pose is in the frame of the
upright photo, as fractions of its height and width, so it holds for the photo at any size.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashionseg.errors import UserError

NUM_LANDMARKS = 33
MASK_SIDE = 64  # cells along each side of the photo
# The other side's landmark for each, for mirror images: eyes, ears, mouth, and all below the neck come in pairs.
_PAIRS = ((1, 4), (2, 5), (3, 6), *((left, left + 1) for left in range(7, NUM_LANDMARKS, 2)))
MIRRORED = np.arange(NUM_LANDMARKS)
for _left, _right in _PAIRS:
    MIRRORED[[_left, _right]] = _right, _left


class Pose(NamedTuple):
    """A person on a photo.

    `landmarks` float32 [33, 3]: y and x as fractions of the photo (outside of 0 to 1: outside of the photo) and the
    visibility from 0 to 1. `mask` uint8 [64, 64]: the probability, times 255, that a cell shows the person.
    """

    landmarks: NDArray[np.float32]
    mask: NDArray[np.uint8]


NO_POSE = Pose(np.zeros((NUM_LANDMARKS, 3), np.float32), np.zeros((MASK_SIDE, MASK_SIDE), np.uint8))


@dataclass(frozen=True, eq=False)
class Poses:
    """The poses of photos; zeros where no person was found: `landmarks` [P, 33, 3] and `masks` [P, 64, 64]."""

    image_ids: tuple[str, ...]
    landmarks: NDArray[np.float32]
    masks: NDArray[np.uint8]

    @classmethod
    def of(cls, poses: Mapping[str, Pose | None]) -> Poses:
        """From the pose of each photo, None where no person was found."""
        found = [pose or NO_POSE for pose in poses.values()]
        return cls(
            tuple(poses),
            np.stack([pose.landmarks for pose in [*found, NO_POSE]])[:-1],
            np.stack([pose.mask for pose in [*found, NO_POSE]])[:-1],
        )

    @property
    def is_found(self) -> NDArray[np.bool_]:
        """Whether there is a person, [P]."""
        return np.any(self.landmarks != 0.0, axis=(1, 2))

    def of_photos(self, image_ids: Sequence[str]) -> Poses:
        """The poses of these photos in this order.

        Raises:
            UserError: a photo has none, not even that no person was found.
        """
        place = {image_id: number for number, image_id in enumerate(self.image_ids)}
        if missing := [image_id for image_id in image_ids if image_id not in place]:
            raise UserError(f"data/pose: no pose of {missing[0]}; run the stage pose")
        rows = np.array([place[image_id] for image_id in image_ids], np.int64)
        return Poses(tuple(image_ids), self.landmarks[rows], self.masks[rows])

    def __getitem__(self, number: int) -> Pose:
        return Pose(self.landmarks[number], self.masks[number])

    def write(self, path: Path) -> None:
        """The same poses give the same bytes."""
        np.savez_compressed(
            path, image_ids=np.array(self.image_ids, np.str_), landmarks=self.landmarks, masks=self.masks
        )


def read_poses(path: Path) -> Poses:
    """What `Poses.write` wrote.

    Raises:
        UserError: missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            poses = Poses(tuple(arrays["image_ids"].tolist()), arrays["landmarks"], arrays["masks"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage pose") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: damaged, run the stage pose again: {error}") from None
    count = len(poses.image_ids)
    shapes = (count, NUM_LANDMARKS, 3), (count, MASK_SIDE, MASK_SIDE)
    if (poses.landmarks.shape, poses.masks.shape) != shapes:
        raise UserError(
            f"{path}: expected landmarks {shapes[0]} and masks {shapes[1]}, "
            f"got {poses.landmarks.shape} and {poses.masks.shape}; run the stage pose again"
        )
    return poses


def poses_of(folder: Path, subset: str, image_ids: Sequence[str]) -> Poses:
    """The poses of some photos of a subset (`train` or `test`), from the output of the stage `pose`.

    Raises:
        UserError: there are none, or not of all these photos.
    """
    poses = read_poses(folder / f"{subset}.npz")
    if image_ids and not poses.image_ids:
        raise UserError(
            "model.body_parts: expected poses of the photos, got none; set pose.model to mediapipe"
        )
    return poses.of_photos(image_ids)
