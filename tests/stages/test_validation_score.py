"""The score that chooses the epoch: that of the calibration, of the network as it is, compiled once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashionseg.data.rle import runs_area, runs_box
from fashionseg.data.splits import read_split
from fashionseg.data.truths import read_truths
from fashionseg.detections.inference import make_detector, predict_records
from fashionseg.detections.photos import pair_photos
from fashionseg.metrics.calibration import calibrate
from fashionseg.metrics.grid_levels import Grid
from fashionseg.params import load_params
from fashionseg.stages.validation_score import scoring_inference, validation_score
from toy_network import ToyNetwork, build_toy

CATEGORIES, BATCH = 46, 4
ALL_SCORES = tuple(tenth / 10 for tenth in range(1, 10))


@pytest.fixture
def toy() -> ToyNetwork:
    params = load_params()
    return build_toy(params.model, CATEGORIES, scoring_inference(params.sampling))


def predict_always(network: ToyNetwork, category: int, box: np.ndarray) -> None:
    """One garment of the category in each photo, at a score of almost 1, filling a box (fractions of the photo)."""
    kernel, bias = (np.zeros(weight.shape, np.float32) for weight in network.head.weights)
    bias[category + 1] = 20.0
    corners = np.clip([2 * box[0], 2 * box[1], 2 * box[2] - 1, 2 * box[3] - 1], 1e-3, 1 - 1e-3)
    bias[-4:] = np.log(corners / (1 - corners))  # see `ToyNetwork._outputs`
    network.head.set_weights([kernel, bias])


def test_it_is_the_score_of_the_calibration_for_the_weights_of_the_moment(
    sample: Path, toy: ToyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = sample / "data/decoded"
    _, photos = read_split(sample / "data/splits")
    truths = read_truths(decoded, photos)
    boxes = np.array([runs_box(runs, 512) for runs in truths.runs]) / 512
    areas = np.array([runs_area(runs) for runs in truths.runs]) / 512**2
    around_centre = (boxes[:, :2] < 0.5).all(axis=1) & (boxes[:, 2:] > 0.5).all(axis=1)
    garment = int(np.argmax(areas / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) * around_centre))
    present = int(truths.categories[garment])
    absent = min(set(range(CATEGORIES)) - set(truths.categories.tolist()))
    traced = []
    call = toy.call

    def counted(inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        traced.append(1)
        return call(inputs, training)

    monkeypatch.setattr(toy, "call", counted)
    score = validation_score(toy, decoded, photos, BATCH)
    found = []
    for category in (present, absent):
        predict_always(toy, category, boxes[garment])
        found.append(score())
        runs = len(traced)
        detections = predict_records(make_detector(toy, ()), decoded, "train", photos, BATCH)
        assert len(detections) == len(photos)
        grid = Grid(ALL_SCORES, (0.5,), (0.5,), (0,))
        pairs = pair_photos(detections, truths)
        assert found[-1] == calibrate(pairs, grid, np.zeros(len(pairs), np.int64)).in_sample
    assert len(traced) == runs  # the second network was not compiled again
    assert found[0] > found[1] == 0.0


def test_settings_that_retrain_nothing_have_no_influence() -> None:
    """`inference` and `evaluate` are no parameters of the training stages; the values follow `sampling`."""
    params = load_params()
    inference = scoring_inference(params.sampling)
    assert inference.post_nms_top_k == params.sampling.post_nms_top_k
    assert inference.max_detections == params.sampling.max_gt_instances
