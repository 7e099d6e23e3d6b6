"""The poses of all decoded photos of a subset, on all cores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.console import track
from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.poses import Pose, Poses
from fashionseg.data.records import PhotoSource
from fashionseg.data.tables import record_indices
from fashionseg.parallel import available_cores, ordered_map
from fashionseg.pose.estimator import PoseEstimator
from fashionseg.pose.model_files import require_pose_model

_FEW = 50  # photos that one process has found before others have started
_CONTROL_SEED = 0


class _PoseOfPhoto:
    """Finds the pose on photo number n; each process loads the model for itself."""

    def __init__(self, source: PhotoSource, model: Path) -> None:
        self._source, self._model = source, model
        self._estimator: PoseEstimator | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_estimator": None}

    def __call__(self, number: int) -> Pose | None:
        if self._estimator is None:
            self._estimator = PoseEstimator(self._model)
        return self._estimator(decode_jpeg(self._source[number].jpeg))


def find_poses(decoded: Path, subset: str, image_ids: Sequence[str], model: Path) -> Poses:
    """The poses of decoded photos; the same whatever the number of processes.

    Args:
        subset: `train` or `test`.
        model: folder of the pose model.

    Raises:
        UserError: the model is missing or damaged, or a photo was not decoded.
    """
    require_pose_model(model)
    if not image_ids:
        return Poses.of({})
    source = PhotoSource(decoded, subset, record_indices(decoded, subset, image_ids))
    workers = available_cores() if len(image_ids) > _FEW else 1
    found = ordered_map(_PoseOfPhoto(source, model), range(len(image_ids)), workers, "run it on fewer cores")
    poses = track(found, f"pose {subset}", len(image_ids))
    return Poses.of(dict(zip(image_ids, poses, strict=True)))


def exchanged(poses: Poses) -> Poses:
    """Each photo with the pose of another one: the control that shows what the positions themselves bring."""
    count = len(poses.image_ids)
    order = np.random.default_rng(_CONTROL_SEED).permutation(count)
    source = np.empty(count, np.int64)
    source[order] = np.roll(order, 1)
    return Poses(poses.image_ids, poses.landmarks[source], poses.masks[source])
