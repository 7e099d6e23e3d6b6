"""Our side of the race: a lap trains at the rate it is given, and its state comes back whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from tools.bench.street_ours import OurTraining, compiled_training
from tools.bench.training import make_batch
from tools.soak.inputs import soak_params

from fashionseg.model.build import build_mask_rcnn
from fashionseg.params import load_params


@pytest.fixture
def fresh_keras() -> Iterator[None]:
    yield
    keras.utils.clear_session(free_memory=True)


def make_training(repo: Path, seed: int) -> OurTraining:
    keras.utils.set_random_seed(seed)
    params = soak_params(load_params(repo / "params.yaml"))
    network = build_mask_rcnn(params.model, 46, params.inference, params.sampling)
    jit_compile = keras.backend.backend() == "jax"
    training = compiled_training(network, params.train.loss_weights, jit_compile)
    return OurTraining(training, itertools.repeat(make_batch(params, 2)))


def weights(trained: OurTraining) -> list[np.ndarray]:
    return [np.array(variable) for variable in trained.training.trainable_variables]


def test_a_lap_trains_at_the_rate_that_it_is_given(repo: Path, tmp_path: Path, fresh_keras: None) -> None:
    trained = make_training(repo, 0)
    at_start = weights(trained)
    assert np.isfinite(trained.lap(1, 0.0))
    assert all(np.array_equal(a, b) for a, b in zip(weights(trained), at_start, strict=True))
    trained.lap(2, 1e-3)
    moved = [float(np.abs(a - b).max()) for a, b in zip(weights(trained), at_start, strict=True)]
    # AdamW's first steps are about as large as the rate, and no larger than a few times it.
    assert 0.5e-3 < max(moved) < 5e-3
    trained.save(tmp_path)

    other = make_training(repo, 1)
    assert not all(np.array_equal(a, b) for a, b in zip(weights(other), weights(trained), strict=True))
    other.load(tmp_path)
    state, loaded = (
        [np.array(variable) for variable in (*side.training.variables, *side.training.optimizer.variables)]
        for side in (trained, other)
    )
    assert all(np.array_equal(a, b) for a, b in zip(state, loaded, strict=True))
    assert int(np.array(other.training.optimizer.iterations)) == 3
