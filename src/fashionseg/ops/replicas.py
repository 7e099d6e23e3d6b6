"""Batches, means and gradients over the devices that share a batch.

TensorFlow's `MirroredStrategy` runs the network once per device, each with its share of the photos. On JAX there is one
run on arrays that span the devices, so means and gradients need nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor


def num_replicas() -> int:
    """Replicas of the network that share a batch, this one included."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def num_shares() -> int:
    """Devices that a batch is split over."""
    distribution = keras.distribution.distribution()
    return num_replicas() if distribution is None else int(np.prod(distribution.device_mesh.shape))


def share_batch(batch: Mapping[str, np.ndarray]) -> Any:
    """Splits a batch over the devices, for `predict_on_batch`: by default each would run the whole of it.

    Args:
        batch: arrays [B, ...], B a multiple of `num_shares()`.
    """
    if (distribution := keras.distribution.distribution()) is not None:
        return {
            name: keras.distribution.distribute_tensor(value, distribution.get_data_layout(value.shape))
            for name, value in batch.items()
        }
    replicas = num_replicas()
    if replicas == 1:
        return dict(batch)
    import tensorflow as tf

    shares = [
        dict(zip(batch, parts, strict=True))
        for parts in zip(*(np.split(value, replicas) for value in batch.values()), strict=True)
    ]
    return tf.distribute.get_strategy().experimental_distribute_values_from_function(
        lambda context: {
            name: tf.convert_to_tensor(value)
            for name, value in shares[context.replica_id_in_sync_group].items()
        }
    )


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
