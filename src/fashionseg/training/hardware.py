"""What `auto` in the `train` section means on the hardware that is found."""

from __future__ import annotations

import keras

from fashionseg.console import say
from fashionseg.params import Train, changed

# Ampere, the first with bfloat16 in its matrix units; a V100 has 7.0.
_BFLOAT16_CAPABILITY = (8, 0)


def choose_training(train: Train) -> Train:
    """`train` with every `auto` replaced; prints each choice.

    mixed_precision: where every GPU multiplies bfloat16 in hardware.
    jit_compile: on JAX, which is slow without it; not on TensorFlow, where it made a step on a CPU 1.7 times longer.
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


def _compute_capabilities() -> list[tuple[int, int]]:
    """NVIDIA's compute capability of each GPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
        return [tuple(detail.get("compute_capability", (0, 0))) for detail in details]
    import jax

    texts = [
        str(getattr(device, "compute_capability", "0.0"))
        for device in jax.devices()
        if device.platform == "gpu"
    ]
    return [(int(major), int(minor)) for major, minor in (text.split(".")[:2] for text in texts)]
