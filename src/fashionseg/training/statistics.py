"""Batch norm's moving statistics of given weights, estimated anew: those of averaged weights are no average."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, log

import keras

from fashionseg.model.api import Network
from fashionseg.training.loop import Batch, model_inputs
from fashionseg.training.network import TrainingNetwork

_LEFT = 0.01  # share of the old statistics that is left


def num_batches(momentum: float) -> int:
    """Batches after which moving statistics of this momentum have forgotten what they were."""
    return ceil(log(_LEFT) / log(momentum))


def estimate_statistics(network: Network, batches: Iterable[Batch], momentum: float) -> None:
    """Runs `num_batches(momentum)` training batches through the network; the weights stay as they are.

    Args:
        network: built with `sampling`.
        batches: as a training takes them.
        momentum: of the moving statistics.
    """
    network.set_phase("all")
    training = TrainingNetwork(network, {}, l2_decay=0.0)
    training.compile(optimizer=keras.optimizers.SGD(0.0))  # a step of length 0 changes no weight
    inputs = ((model_inputs(batch),) for batch in batches)
    training.fit(inputs, steps_per_epoch=num_batches(momentum), epochs=1, shuffle=False, verbose=0)
