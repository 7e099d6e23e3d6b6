"""The values that benchmarks run with: those of the original training."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fashionseg.params import PARAMS_FILE, Params, flatten, parse_params, read_yaml

_SETTINGS = Path("presets/kaggle-dgx.yaml")


def original_params() -> Params:
    """params.yaml as committed with the settings of the original training; whatever preset is in it counts little."""
    values = read_yaml(PARAMS_FILE)
    for key, value in flatten(read_yaml(_SETTINGS)).items():
        section = values
        *path, last = key.split(".")
        for name in path:
            section = section[name]
        section[last] = value
    return parse_params(values, PARAMS_FILE)


def gpu_backend() -> str:
    """JAX, unless it came without its GPU part and TensorFlow is there."""
    has_jax = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
    return "jax" if has_jax or importlib.util.find_spec("tensorflow") is None else "tensorflow"
