"""A network small enough for tests: the same code, few channels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fashionseg.model.build import build_mask_rcnn
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.params import Model, load_params, to_dict, parse_model

REPO = Path(__file__).resolve().parents[2]
SIDE = 64
CATEGORIES = 5
INSTANCES = 4
SMALL = {
    "backbone": "resnet14",
    "backbone_width": 4,
    "image_max_dim": SIDE,
    "top_down_pyramid_size": 8,
    "rpn_channels": 8,
    "fpn_classif_fc_layers_size": 8,
    "mask_channels": 8,
    "pre_nms_limit": 100,
    "post_nms_rois_training": 40,
    "post_nms_rois_inference": 20,
    "train_rois_per_image": 12,
    "max_gt_instances": INSTANCES,
    "detection_max_instances": 6,
}


@pytest.fixture(scope="session")
def small_model() -> Callable[..., Model]:
    """The `model` section with small sizes; keywords change it further."""

    def make(**changes: Any) -> Model:
        values = to_dict(load_params(REPO / "params.yaml").model) | SMALL | changes
        return parse_model(values, Path("params.yaml"))

    return make


@pytest.fixture(scope="session")
def make_network(small_model: Callable[..., Model]) -> Callable[..., MaskRCNN]:
    """A network from a seed; keywords change its `model` section."""

    def make(seed: int = 0, categories: int = CATEGORIES, **changes: Any) -> MaskRCNN:
        keras.utils.set_random_seed(seed)
        return build_mask_rcnn(small_model(**changes), categories)

    return make


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    """Two images, the first with two instances, the second with none."""
    rng = np.random.default_rng(0)
    boxes = np.zeros((2, INSTANCES, 4), np.float32)
    boxes[0, :2] = [[4, 6, 40, 50], [20, 20, 60, 44]]
    classes = np.zeros((2, INSTANCES), np.int32)
    classes[0, :2] = [3, 1]
    return {
        "images": rng.integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8),
        "gt_classes": classes,
        "gt_boxes": boxes,
        "gt_masks": np.ones((2, INSTANCES, 56, 56), np.uint8),
        "sampling_seeds": np.arange(2, dtype=np.uint32),
    }
