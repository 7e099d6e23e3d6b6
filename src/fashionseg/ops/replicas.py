"""Sums and means over the devices that share a batch.

TensorFlow's `MirroredStrategy` runs the network once a device, each with its share of the photos. On JAX there is one
run on arrays that span the devices, and nothing is to be done.
"""

from __future__ import annotations

import keras
from keras import ops

from fashionseg.ops.boxes import Tensor


def num_replicas() -> int:
    """Replicas of the network that share a batch, this one included."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def global_mean(total: Tensor, count: Tensor) -> Tensor:
    """Mean over the whole batch, from the sum and the count over the photos of this device.

    The returned numbers differ by device; their mean over the devices is the mean of the batch.

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
    """Gradients summed over the devices, an equal share for each; arrays of any shape."""
    replicas = num_replicas()
    if replicas == 1:
        return gradients
    import tensorflow as tf

    total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    return [gradient / replicas for gradient in total]
