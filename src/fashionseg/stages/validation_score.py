"""The competition's score of the network in training on the validation photos: chooses the best epoch.

What is detected and scored is fixed here, or follows the section `sampling`, because a change of the sections
`inference` and `evaluate` trains nothing again. Epochs are compared with each other; the score that is reported is that
of the stage `evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fashionseg.data.poses import Poses
from fashionseg.data.truths import read_truths
from fashionseg.detections.inference import make_detector, predict_records
from fashionseg.detections.photos import pair_photos
from fashionseg.metrics.calibration import grid_scores
from fashionseg.metrics.grid_levels import Grid
from fashionseg.model.api import Network
from fashionseg.params import LATER_INFERENCE, Inference, Sampling

_NMS = 0.5
# One NMS and mask threshold and no minimum area: little to search, as it is searched after each epoch.
_GRID = Grid(scores=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), nms=(_NMS,), masks=(0.5,), min_areas=(0,))


def scoring_inference(sampling: Sampling) -> Inference:
    """What the network keeps of a prediction while it is trained."""
    values: dict[str, Any] = {
        "post_nms_top_k": sampling.post_nms_top_k,
        "score_threshold": _GRID.scores[0],
        "nms_threshold": _NMS,
        "max_detections": sampling.max_gt_instances,
        **LATER_INFERENCE,
    }
    return Inference(**values)


def validation_score(
    network: Network, decoded: Path, image_ids: Sequence[str], batch_size: int, poses: Poses | None = None
) -> Callable[[], float]:
    """A function that scores the network as it then is: label category, the best score threshold for all photos.

    Args:
        network: built with `scoring_inference`; compiled once, at the first call.
        image_ids: of the validation photos.
        poses: theirs, for a network that takes them.
        batch_size: photos at once.

    Raises:
        UserError: the instance table is missing, not readable or lacks a column.
    """
    detector = make_detector(network, ())
    truths = read_truths(decoded, image_ids)

    def score() -> float:
        detections = predict_records(detector, decoded, "train", image_ids, batch_size, poses)
        return float(grid_scores(pair_photos(detections, truths), _GRID).mean(axis=1).max())

    return score
