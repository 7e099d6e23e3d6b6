"""The moving average of the weights: its ramp, batch norm's statistics, and the exchange with the raw weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from fashionseg.training.average import AverageStatistics, averages_in_place, ramped_decay
from fashionseg.training.optimizer import AdamW


@pytest.mark.parametrize(("step", "expected"), [(0, 1 / 10), (1, 2 / 11), (80, 0.9), (1000, 0.9)])
def test_the_decay_rises_to_its_limit(step: int, expected: float) -> None:
    """(1 + 80) / (10 + 80) = 0.9."""
    assert float(ramped_decay(0.9, keras.ops.convert_to_tensor(step))) == pytest.approx(expected)


def test_the_initial_weights_do_not_dominate() -> None:
    """A weight that jumps from 0 to 1 in the first step: after 20 steps 20! 9! / 29! = 1e-7 of the 0 is left."""
    statistics = AverageStatistics([keras.Variable([0.0])], ema_decay=0.9999)
    for _ in range(20):
        statistics.update([keras.Variable([1.0])])
    assert 1.0 - float(statistics.averages[0][0]) < 1e-6


def test_batch_norm_statistics_are_averaged_and_frozen_weights_stay_to_the_bit() -> None:
    moving_mean, frozen = keras.Variable([1.0]), keras.Variable([0.1, 1 / 3, 1e-7])
    statistics = AverageStatistics([moving_mean, frozen], ema_decay=0.99)
    for value in (3.0, 5.0):
        moving_mean.assign([value])
        statistics.update([moving_mean, frozen])
    # 1 -> 0.1 * 1 + 0.9 * 3 = 2.8 -> 2/11 * 2.8 + 9/11 * 5 = 4.6
    np.testing.assert_allclose(statistics.averages[0], [4.6], rtol=1e-6)
    np.testing.assert_array_equal(statistics.averages[1], frozen)


def test_the_averages_are_variables_of_the_optimizer() -> None:
    """So they are stored and loaded with it."""
    weight = keras.Variable([1.0, 2.0], name="kernel")
    optimizer = AdamW(0.1, ema_decay=0.9)
    optimizer.build([weight])
    np.testing.assert_array_equal(optimizer.averages[0], [1.0, 2.0])
    plain = AdamW(0.1)
    plain.build([weight])
    assert len(optimizer.variables) == len(plain.variables) + 1
    assert any(variable is optimizer.averages[0] for variable in optimizer.variables)


def test_the_raw_weights_come_back_after_an_error() -> None:
    weight, average = keras.Variable([1.0]), keras.Variable([2.0])
    with pytest.raises(KeyError), averages_in_place([weight], [average]):
        np.testing.assert_array_equal(weight, [2.0])
        raise KeyError
    np.testing.assert_array_equal(weight, [1.0])
