"""Noise is a function of seed and place, and looks like none."""

import numpy as np
from keras import ops

from fashionseg.ops.noise import uniform_noise

SEEDS = np.array([0, 1, 2, 2**32 - 1], np.uint32)


def noise(seeds: np.ndarray, count: int, stream: int = 0) -> np.ndarray:
    return ops.convert_to_numpy(uniform_noise(seeds, count, stream))


def test_a_row_depends_on_its_seed_alone():
    whole = noise(SEEDS, 1000)
    assert whole.dtype == np.float32
    assert whole.shape == (4, 1000)
    np.testing.assert_array_equal(noise(SEEDS[2:], 1000), whole[2:])
    np.testing.assert_array_equal(noise(SEEDS, 10), whole[:, :10])


def test_rows_and_streams_are_uniform_and_unlike_each_other():
    rows = np.concatenate([noise(SEEDS, 50_000), noise(SEEDS, 50_000, stream=1)])
    assert rows.min() >= 0.0
    assert rows.max() < 1.0
    counts = np.stack([np.histogram(row, bins=20, range=(0, 1))[0] for row in rows])
    assert np.abs(counts - 2500).max() < 300  # 6 standard deviations
    correlations = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(correlations).max() < 0.03
    assert abs(np.corrcoef(rows[0, :-1], rows[0, 1:])[0, 1]) < 0.03
    assert all(len(np.unique(row)) > 49_700 for row in rows)  # so few ties that a limit on them holds


def test_the_numbers_are_those_of_any_backend():
    np.testing.assert_array_equal(
        noise(SEEDS, 3) * 2**24, np.round(np.array(EXPECTED) * 2**24).astype(np.float32)
    )


# Computed once on TensorFlow; equal on JAX.
EXPECTED = [
    [0.18724608, 0.7102712, 0.9123072],
    [0.38433617, 0.2706594, 0.03840715],
    [0.75058347, 0.30148196, 0.16912562],
    [0.98611087, 0.25137663, 0.62522024],
]
