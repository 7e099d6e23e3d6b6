"""Means over the devices that share a batch.

TensorFlow's `MirroredStrategy` runs the network once a device, each with its share of the photos. On JAX there is one
run on arrays that span the devices, so nothing is to be done.
"""

from __future__ import annotations

import keras
from keras import ops

from fashionseg.ops.boxes import Tensor


def num_replicas() -> int:
    """Runs of the network that share a batch, this one included."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def global_mean(total: Tensor, count: Tensor) -> Tensor:
    """Of a sum and a count over this device's photos: numbers whose mean over the devices is that of the whole batch.

    The mean of the devices' own means would weigh an object more where its device has few. On one device it is
    `total / count`, and 0 for a count of 0.
    """
    replicas = num_replicas()
    if replicas > 1:
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        count = context.all_reduce(tf.distribute.ReduceOp.SUM, ops.stop_gradient(count))
    return replicas * total / ops.maximum(count, 1.0)


def equal_shares(gradients: list[Tensor]) -> list[Tensor]:
    """Of each device's gradients (each array of any shape): their sum, an equal share of it for every device."""
    replicas = num_replicas()
    if replicas == 1:
        return gradients
    import tensorflow as tf

    total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    return [gradient / replicas for gradient in total]
