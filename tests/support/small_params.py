"""params.yaml with a network small enough for tests: the same code, few channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionseg.params import Params, changed, load_params

REPO = Path(__file__).resolve().parents[2]
SIZE = 64  # pixels of the input
INSTANCES = 4
SMALL: dict[str, Any] = {
    "model.image_size": SIZE,
    "model.backbone.name": "resnet14",
    "model.backbone.width": 4,
    "model.fpn.channels": 8,
    "model.rpn.channels": 8,
    "model.rpn.pre_nms_top_k": 100,
    "model.box_head.channels": 8,
    "model.mask_head.channels": 8,
    "sampling.max_gt_instances": INSTANCES,
    "sampling.post_nms_top_k": 40,
    "sampling.rois_per_image": 12,
    "inference.post_nms_top_k": 20,
    "inference.max_detections": 6,
}


def make_small_params(changes: Mapping[str, Any] | None = None) -> Params:
    """The committed params with `SMALL`, then `changes` by dotted name."""
    return changed(load_params(REPO / "params.yaml"), {**SMALL, **(changes or {})})
