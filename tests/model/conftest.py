"""Small networks and a batch for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest

from fashionseg.model.build import build_mask_rcnn
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.params import Params
from small_params import INSTANCES, SIZE, make_small_params

CATEGORIES = 5
GROUPS = 2  # of look-alike categories, for label smoothing: even and odd ones


@pytest.fixture(scope="session")
def small_params() -> Callable[..., Params]:
    """`small_params({"model.backbone.width": 8})`: params with small sizes and further changes."""
    return make_small_params


@pytest.fixture(scope="session")
def make_network() -> Callable[..., MaskRCNN]:
    """A network from a seed, on small params with further changes."""

    def make(
        changes: Mapping[str, Any] | None = None, seed: int = 0, categories: int = CATEGORIES
    ) -> MaskRCNN:
        keras.utils.set_random_seed(seed)
        params = make_small_params(changes)
        groups = [str(category % GROUPS) for category in range(categories)]
        return build_mask_rcnn(params.model, categories, params.inference, params.sampling, groups)

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
        "images": rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8),
        "gt_classes": classes,
        "gt_boxes": boxes,
        "gt_masks": np.ones((2, INSTANCES, 56, 56), np.uint8),
        "sampling_seeds": np.arange(2, dtype=np.uint32),
        "is_photo": np.ones(2, bool),
    }
