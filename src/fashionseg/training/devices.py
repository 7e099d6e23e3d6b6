"""How a batch is shared between devices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from fashionseg.console import say
from fashionseg.errors import UserError


@contextmanager
def shared_between(num_devices: int) -> Iterator[None]:
    """Models made and trained inside use `num_devices` GPUs, or the CPU where there is no GPU and one is asked for.

    Raises:
        UserError: several are asked for and there are fewer.
    """
    gpus = find_gpus()
    if num_devices > max(len(gpus), 1):
        raise UserError(
            f"params.yaml: train.num_devices: expected at most {len(gpus)} (the GPUs here), got {num_devices}"
        )
    say(f"devices: {num_devices} of {len(gpus)} GPUs" if gpus else "devices: CPU")
    if num_devices == 1:
        yield
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(gpus[:num_devices]).scope():
            yield
    else:
        previous = keras.distribution.distribution()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=gpus[:num_devices]))
        try:
            yield
        finally:
            keras.distribution.set_distribution(previous)


def find_gpus() -> list[str]:
    """Names of the GPUs here, as the backend calls them."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return [
            device.name.replace("/physical_device:", "") for device in tf.config.list_physical_devices("GPU")
        ]
    return [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
