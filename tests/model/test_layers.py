"""Batch norm: when its statistics are those of the batch, and of which rows."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from fashionseg.model.layers import BATCH_NORM_EPSILON, BatchNorm


def make(is_trained: bool, with_mask: bool = False) -> keras.Model:
    x = keras.Input((1, 1, 2))
    if not with_mask:
        return keras.Model(x, BatchNorm(is_trained, 0.9)(x, "bn"))
    mask = keras.Input((1, 1), dtype="bool")
    return keras.Model([x, mask], BatchNorm(is_trained, 0.9)(x, "bn", mask=mask))


ROWS = np.array([[1.0, 10.0], [3.0, 30.0], [100.0, -100.0]], np.float32).reshape(3, 1, 1, 2)


def test_frozen_statistics_stay_in_training_too():
    network = make(is_trained=False)
    output = ops.convert_to_numpy(network(ROWS, training=True))
    # Moving mean 0 and variance 1: only the epsilon shows.
    np.testing.assert_allclose(output, ROWS / np.sqrt(1 + BATCH_NORM_EPSILON), rtol=1e-6)
    layer = network.get_layer("bn")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.moving_mean), [0, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.moving_variance), [1, 1])
    assert [v.name for v in network.trainable_variables] == ["gamma", "beta"]


def test_statistics_take_in_the_real_rows_only():
    network = make(is_trained=True, with_mask=True)
    mask = np.array([True, True, False]).reshape(3, 1, 1)
    output = ops.convert_to_numpy(network([ROWS, mask], training=True))
    # Means 2 and 20, deviations 1 and 10 of the first two rows.
    np.testing.assert_allclose(output[:2, 0, 0], [[-1, -1], [1, 1]], rtol=1e-3)
    moving_mean = ops.convert_to_numpy(network.get_layer("bn").moving_mean)
    np.testing.assert_allclose(moving_mean, [0.2, 2.0], rtol=1e-5)
