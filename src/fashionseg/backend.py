"""Keras and its backend: started quietly, seeded, on the devices asked for."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from fashionseg.console import say
from fashionseg.errors import UserError

Scope = Callable[[], AbstractContextManager[Any]]


def start_backend() -> None:
    """Imports Keras (TensorFlow, or what KERAS_BACKEND says); seconds the first time, nothing afterwards.

    TensorFlow's C++ code writes notes about oneDNN and CPU features to file descriptor 2 before any setting of its
    log level counts. They mean nothing to a user, so they are held back, and shown only if the import fails.
    """
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_back_stderr():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()  # starts the devices, which has notes of its own


def make_reproducible(seed: int, deterministic: bool) -> None:
    """Seeds Python, NumPy and Keras; with `deterministic`, kernels sum in a fixed order.

    To be called before the first tensor is made. Deterministic kernels exist for everything that the model does on a
    CPU; on a GPU some operations refuse to run with them, so the parameter is off there.
    """
    start_backend()
    import keras

    keras.utils.set_random_seed(seed)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def shared_between(num_devices: int) -> AbstractContextManager[Any]:
    """Context in which models are built and trained on `num_devices` GPUs; one is the CPU where there is no GPU.

    Raises:
        UserError: there are fewer GPUs.
    """
    gpus = find_gpus()
    if num_devices > max(len(gpus), 1):
        raise UserError(
            f"params.yaml: train.num_devices: expected at most {len(gpus)} (the GPUs here), got {num_devices}"
        )
    say(f"devices: {num_devices} of {len(gpus)} GPUs" if gpus else "devices: CPU")
    return device_scope(num_devices)()


def device_scope(num_devices: int) -> Scope:
    """Makes contexts, all on the same devices, in which models are built and run.

    Args:
        num_devices: GPUs; fewer where fewer are here, as a model trained on a GPU host predicts on a laptop too.
    """
    names = find_gpus()[:num_devices]
    if len(names) < 2:
        return nullcontext
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.distribute.MirroredStrategy(names).scope
    return keras.distribution.DataParallel(devices=names).scope


def find_gpus() -> list[str]:
    """Names of the GPUs here, as the backend calls them."""
    start_backend()
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return [
            device.name.replace("/physical_device:", "") for device in tf.config.list_physical_devices("GPU")
        ]
    return [name for name in keras.distribution.list_devices() if not name.startswith("cpu")]


@contextmanager
def held_back_stderr() -> Iterator[None]:
    """Context in which file descriptor 2 is silent, as C++ code writes there; what it said is shown if it fails."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
