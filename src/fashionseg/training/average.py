"""Exponential moving average of the weights: trained with the raw weights, validated and kept with the averaged ones.

The decay rises with the steps of the stage as in TensorFlow's `ExponentialMovingAverage`, so that the initial weights
do not dominate the average. Batch norm's moving statistics are averaged like the weights that they belong to. Keras's
own `use_ema` does neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor


def ramped_decay(decay: float, step: Tensor) -> Tensor:
    """`min(decay, (1 + step) / (10 + step))`, float32; `step` counts from 0."""
    step = ops.cast(step, "float32")
    return ops.minimum(decay, (1.0 + step) / (10.0 + step))


class AverageWeights(keras.optimizers.Optimizer):
    """Mixin for Keras's optimizers: the average of each trained weight, stored among the optimizer's variables.

    Args:
        ema_decay: limit of the decay; 0 keeps no averages.
    """

    def __init__(self, *args: Any, ema_decay: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ema_decay = ema_decay
        self.averages: list[keras.Variable] = []

    def build(self, variables: list[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        if self.ema_decay:
            self.averages = self.add_optimizer_variables(variables, "average")
            for average, variable in zip(self.averages, variables, strict=True):
                average.assign(_copy(variable))

    # Here, because the devices of a MirroredStrategy each run it on their own copy.
    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        super().update_step(gradient, variable, learning_rate)
        if self.ema_decay:
            average = self.averages[self._get_variable_index(variable)]
            share = 1.0 - ramped_decay(self.ema_decay, self.iterations)
            self.assign_add(average, share * (ops.convert_to_tensor(variable) - average))


class AverageStatistics(keras.layers.Layer):
    """The averages of weights without a gradient: batch norm's moving statistics. Frozen weights stay as they are.

    Args:
        weights: their initial values are the first averages.
        ema_decay: limit of the decay.
    """

    def __init__(self, weights: Sequence[keras.Variable], ema_decay: float) -> None:
        super().__init__(name="average_statistics", dtype="float32")
        self.ema_decay = ema_decay
        self.step = self.add_weight(
            shape=(),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
            name="step",
        )
        self.averages = [
            self.add_weight(
                shape=weight.shape,
                initializer="zeros",
                trainable=False,
                aggregation="mean",
                name=f"average_{place}",
            )
            for place, weight in enumerate(weights)
        ]
        for average, weight in zip(self.averages, weights, strict=True):
            average.assign(_copy(weight))
        self.built = True

    def update(self, weights: Sequence[keras.Variable]) -> None:
        """Adds the current values; once per training step, after the forward pass, which changes the statistics."""
        share = 1.0 - ramped_decay(self.ema_decay, self.step)
        for average, weight in zip(self.averages, weights, strict=True):
            # This form leaves the average of a constant exactly constant.
            average.assign_add(share * (ops.convert_to_tensor(weight) - average))
        self.step.assign_add(1)


@contextmanager
def averages_in_place(
    weights: Sequence[keras.Variable], averages: Sequence[keras.Variable]
) -> Iterator[None]:
    """Context in which the weights have their averaged values; afterwards they have their raw values again."""
    raw = [_copy(weight) for weight in weights]
    for weight, average in zip(weights, averages, strict=True):
        weight.assign(_copy(average))
    try:
        yield
    finally:
        for weight, value in zip(weights, raw, strict=True):
            weight.assign(value)


def _copy(variable: keras.Variable) -> np.ndarray:
    """A copy of the value: on JAX two variables must not share memory, which a training step takes over."""
    return np.array(ops.convert_to_numpy(variable))
