"""A normalised convolution: when its statistics are those of the batch and of which rows, and its folded form."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from tools.parity.backend import gradients

from fashionseg.model.layers import BATCH_NORM_EPSILON, BatchNorm, ConvNorm, find_layer


def make(is_trained: bool, with_mask: bool = False) -> keras.Model:
    """One cell of two channels in and out; the convolution hands them on."""
    x = keras.Input((1, 1, 2))
    mask = keras.Input((1, 1), dtype="bool") if with_mask else None
    inputs = [x, mask] if with_mask else x
    network = keras.Model(inputs, BatchNorm(is_trained, 0.9).conv(x, 2, 1, "conv", "bn", mask=mask))
    find_layer(network, "conv").kernel.assign(np.eye(2, dtype=np.float32)[None, None])
    return network


ROWS = np.array([[1.0, 10.0], [3.0, 30.0], [100.0, -100.0]], np.float32).reshape(3, 1, 1, 2)


def test_untrained_batch_norm_uses_moving_statistics_in_training():
    network = make(is_trained=False)
    output = ops.convert_to_numpy(network(ROWS, training=True))
    # Moving mean 0 and variance 1: only the epsilon shows.
    np.testing.assert_allclose(output, ROWS / np.sqrt(1 + BATCH_NORM_EPSILON), rtol=1e-6)
    layer = find_layer(network, "bn")
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.moving_mean), [0, 0])
    np.testing.assert_array_equal(ops.convert_to_numpy(layer.moving_variance), [1, 1])
    assert sorted(v.name for v in network.trainable_variables) == ["beta", "bias", "gamma", "kernel"]


def test_batch_statistics_ignore_padding_rows():
    network = make(is_trained=True, with_mask=True)
    mask = np.array([True, True, False]).reshape(3, 1, 1)
    output = ops.convert_to_numpy(network([ROWS, mask], training=True))
    # Means 2 and 20, deviations 1 and 10 of the first two rows.
    np.testing.assert_allclose(output[:2, 0, 0], [[-1, -1], [1, 1]], rtol=1e-3)
    moving_mean = ops.convert_to_numpy(find_layer(network, "bn").moving_mean)
    np.testing.assert_allclose(moving_mean, [0.2, 2.0], rtol=1e-5)


def test_frozen_layer_keeps_its_moving_statistics():
    network = make(is_trained=True)
    network.trainable = False
    network(ROWS, training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(find_layer(network, "bn").moving_mean), [0, 0])


@pytest.mark.parametrize(
    ("size", "strides", "padding", "side"),
    [(3, 1, "same", 6), (3, 2, "same", 6), (1, 2, "same", 5), (7, 2, "valid", 13), (5, 1, "valid", 5)],
)
def test_folded_conv_norm_matches_unfolded(size, strides, padding, side):
    """Outputs and the gradients of all four arrays and of the input, on statistics that are not 0 and 1."""
    rng = np.random.default_rng(1)
    keras.utils.set_random_seed(1)
    layer = ConvNorm(4, size, "conv", "bn", uses_batch=False, momentum=0.9, strides=strides, padding=padding)
    x = keras.Variable(rng.normal(size=(2, side, side, 3)).astype(np.float32))
    layer.build(x.shape)
    for variable in (layer.conv.bias, layer.norm.gamma, layer.norm.beta, layer.norm.moving_mean):
        variable.assign(rng.normal(size=4))
    layer.norm.moving_variance.assign(rng.uniform(0.5, 2.0, 4))
    weights = ops.convert_to_tensor(
        rng.normal(size=layer.compute_output_shape(x.shape)).astype(np.float32)
    )  # of the sum that is derived: every output counts differently
    variables = [x, layer.conv.kernel, layer.conv.bias, layer.norm.gamma, layer.norm.beta]

    def in_turn() -> dict:
        return {"sum": ops.sum(weights * layer.norm(layer.conv(x.value), training=False))}

    value, found = gradients(lambda: {"sum": ops.sum(weights * layer(x.value, training=True))}, variables)
    expected, wanted = gradients(in_turn, variables)
    np.testing.assert_allclose(
        ops.convert_to_numpy(value["sum"]), ops.convert_to_numpy(expected["sum"]), rtol=1e-4
    )
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours), ops.convert_to_numpy(theirs), rtol=1e-4, atol=1e-4
        )


def test_kernel_is_folded_in_float32_and_rounded_once():
    layer = ConvNorm(
        1, 1, "conv", "bn", uses_batch=False, momentum=0.9, dtype=keras.DTypePolicy("mixed_bfloat16")
    )
    layer.build((1, 1, 1, 1))
    # 1.0039 and 255 need nine bits each, more than bfloat16's eight; their product is 256 to within one part in 20,000.
    layer.conv.kernel.assign([[[[1.0 + 1 / 256]]]])
    layer.norm.gamma.assign([255.0 * np.sqrt(1 + BATCH_NORM_EPSILON)])
    output = layer(np.ones((1, 1, 1, 1), np.float32))
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    assert float(ops.cast(output, "float32")[0, 0, 0, 0]) == 256.0


def test_conv_norm_round_trips_through_its_config():
    layer = ConvNorm(4, 3, "conv", "bn", uses_batch=True, momentum=0.8, strides=2, gamma_initializer="zeros")
    again = ConvNorm.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_unknown_layer_name_is_an_error():
    with pytest.raises(ValueError, match="no layer is named bn2"):
        find_layer(make(is_trained=True), "bn2")
