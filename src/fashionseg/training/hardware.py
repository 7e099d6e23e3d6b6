"""What `auto` means on the hardware that is found; results depend on the precision only."""

from __future__ import annotations

import os

import keras

from fashionseg.console import say
from fashionseg.params import Loader, Train, changed

# The first with bfloat16 in its matrix units (Ampere); a V100 is 7.0.
_BFLOAT16_CAPABILITY = (8, 0)
_MAX_WORKERS = 16  # more processes only take memory


def choose_training(train: Train) -> Train:
    """`train` with every `auto` replaced; says what was chosen.

    mixed_precision: on GPUs that multiply bfloat16 in hardware, all of them.
    jit_compile: on JAX, which is slow without; not on TensorFlow, where it made a step on a CPU 1.7 times longer.
    """
    chosen: dict[str, bool] = {}
    if train.mixed_precision == "auto":
        capabilities = _compute_capabilities()
        chosen["mixed_precision"] = bool(capabilities) and min(capabilities) >= _BFLOAT16_CAPABILITY
    if train.jit_compile == "auto":
        chosen["jit_compile"] = keras.backend.backend() == "jax"
    for name, value in chosen.items():
        say(f"train.{name}: auto, here {str(value).lower()}")
    return changed(train, **chosen)


def choose_loader(loader: Loader) -> Loader:
    """`loader` with a number of workers: one a core, less the one that drives the training."""
    if loader.workers != "auto":
        return loader
    workers = min(max(len(os.sched_getaffinity(0)) - 1, 1), _MAX_WORKERS)
    say(f"loader.workers: auto, here {workers}")
    return changed(loader, workers=workers)


def _compute_capabilities() -> list[tuple[int, int]]:
    """Of each GPU, NVIDIA's version of what it can do."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
        return [tuple(its.get("compute_capability", (0, 0))) for its in details]
    import jax

    texts = [
        str(getattr(device, "compute_capability", "0.0"))
        for device in jax.devices()
        if device.platform == "gpu"
    ]
    return [(int(major), int(minor)) for major, minor in (text.split(".")[:2] for text in texts)]
