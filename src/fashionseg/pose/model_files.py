"""The two networks that find a pose, as files: MediaPipe's person detector and its landmark model (Apache-2.0).

They are taken out of the wheel `mediapipe` 0.10.21 as data by `make pose-model`; the package itself is not installed,
as it needs NumPy 1. The output of the stage `pose` has copies, so that a training on a host has them, and so has the
model folder of a network that takes poses, so that it finds them on any photo.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

from fashionseg.errors import UserError
from fashionseg.storage.atomic import atomic_directory

POSE_MODEL: Final = Path("models/pose")
IN_POSE_FOLDER, IN_MODEL_FOLDER = "model", "pose"
DETECTOR, LANDMARKS, LICENSE = "pose_detection.tflite", "pose_landmark_full.tflite", "LICENSE"
SHA256: Final = {
    DETECTOR: "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    LANDMARKS: "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
}


def require_pose_model(folder: Path) -> None:
    """
    Raises:
        UserError: a file of the model is missing, or not the one that is meant.
    """
    for name, expected in SHA256.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path}: no such file; run `make pose-model`")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            raise UserError(
                f"{path}: expected the SHA-256 {expected}, got {found}; delete it and run `make pose-model`"
            )


def copy_pose_model(source: Path, folder: Path) -> None:
    """Copies the model into a new folder.

    Raises:
        UserError: it is missing or damaged.
    """
    require_pose_model(source)
    with atomic_directory(folder) as temporary:
        for name in (*SHA256, LICENSE):
            shutil.copyfile(source / name, temporary / name)
