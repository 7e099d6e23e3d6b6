"""Starting Keras and its backend quietly, and seeding it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def start_backend() -> None:
    """Imports Keras (TensorFlow, or what KERAS_BACKEND says); seconds the first time, nothing afterwards.

    TensorFlow's C++ code writes notes about oneDNN and CPU features to file descriptor 2 before any setting of its
    log level counts. They tell a user nothing, so they are held back, and shown only if the import fails.
    """
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _held_back_stderr():
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


@contextmanager
def _held_back_stderr() -> Iterator[None]:
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
