"""Parameters of the benchmarks: those of the original training."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from fashionseg.parallel import available_cores
from fashionseg.params import PARAMS_FILE, Params, flatten, parse_params, read_yaml

_SETTINGS = Path("presets/kaggle-dgx.yaml")

# A small network for trials on a CPU.
SMALL_NETWORK = {
    "model.backbone.width": 8,
    "model.fpn.channels": 16,
    "model.rpn.channels": 16,
    "model.rpn.pre_nms_top_k": 500,
    "model.box_head.channels": 32,
    "model.mask_head.channels": 16,
    "sampling.post_nms_top_k": 100,
    "sampling.rois_per_image": 24,
    "inference.post_nms_top_k": 100,
    "inference.max_detections": 20,
}


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


def loader_workers() -> int:
    """Worker processes of the loader on a GPU machine: one core is left to the training itself."""
    return max(1, min(available_cores() - 1, 16))


def gpu_backend() -> str:
    """JAX, unless it has no GPU support and TensorFlow is installed."""
    has_jax = any(importlib.util.find_spec(f"jax_cuda{version}_plugin") for version in (12, 13))
    return "jax" if has_jax or importlib.util.find_spec("tensorflow") is None else "tensorflow"
