"""Parameters of the benchmarks: those of the original training."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fashionseg.params import PARAMS_FILE, Params, flatten, parse_params, read_yaml

_SETTINGS = Path("presets/kaggle-dgx.yaml")


def original_params() -> Params:
    """params.yaml with the preset of the original training applied."""
    values = read_yaml(PARAMS_FILE)
    for key, value in flatten(read_yaml(_SETTINGS)).items():
        section = values
        *path, last = key.split(".")
        for name in path:
            section = section[name]
        section[last] = value
    return parse_params(values, PARAMS_FILE)


def gpu_backend() -> str:
    """JAX, unless it has no GPU support and TensorFlow is installed."""
    has_jax = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
    return "jax" if has_jax or importlib.util.find_spec("tensorflow") is None else "tensorflow"
