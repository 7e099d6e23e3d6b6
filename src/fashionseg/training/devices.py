"""The devices that share a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from fashionseg.errors import UserError


@contextmanager
def shared_between(num_devices: int) -> Iterator[str]:
    """Models built and run inside use `num_devices` GPUs, or the CPU where there is no GPU and one is asked for.

    Yields:
        What is used, for the terminal.

    Raises:
        UserError: there are fewer GPUs.
    """
    gpus = find_gpus()
    if num_devices > max(len(gpus), 1):
        raise UserError(
            f"params.yaml: train.num_devices: expected at most {len(gpus)} (the GPUs here), got {num_devices}"
        )
    used = f"{num_devices} of {len(gpus)} GPUs" if gpus else "CPU"
    if num_devices == 1:
        yield used
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(gpus[:num_devices]).scope():
            yield used
    else:
        previous = keras.distribution.distribution()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=gpus[:num_devices]))
        try:
            yield used
        finally:
            keras.distribution.set_distribution(previous)


def usable_devices(num_devices: int) -> int:
    """`num_devices`, or fewer where fewer are here: a model of a GPU host predicts on a laptop too."""
    return min(num_devices, max(len(find_gpus()), 1))


def find_gpus() -> list[str]:
    """Names of the GPUs here, as the backend calls them."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return [
            device.name.replace("/physical_device:", "") for device in tf.config.list_physical_devices("GPU")
        ]
    return [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]
