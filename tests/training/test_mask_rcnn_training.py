"""The real Mask R-CNN in the loop, tiny: it trains, resumes, and keeps its backbone in the phase `heads`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from fashionseg.backend import make_reproducible
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.model.networks import build_network
from fashionseg.params import changed
from fashionseg.training.loop import TrainingResult, model_inputs, train
from fashionseg.training.network import TrainingNetwork
from fashionseg.training.stage import Stage
from fashionseg.training.state import TrainingState
from fixed_batches import Batch, FixedBatches, rebatch
from small_params import SIZE, make_small_params

BATCH, CATEGORIES = 2, 5
PARAMS = make_small_params({"train.images_per_device": BATCH, "train.warmup_steps": 0})


def make_batch(number: int, size: int = BATCH) -> Batch:
    """Photos of three garments and a padding row."""
    random = np.random.default_rng(number)
    corner = random.integers(0, 30, (size, 4, 2))
    boxes = np.concatenate([corner, corner + random.integers(12, 30, (size, 4, 2))], axis=-1)
    classes = random.integers(1, CATEGORIES + 1, (size, 4))
    boxes[:, 3], classes[:, 3] = 0, 0
    return {
        "images": random.integers(0, 256, (size, SIZE, SIZE, 3), dtype=np.uint8),
        "gt_classes": classes.astype(np.int32),
        "gt_boxes": boxes.astype(np.float32),
        "gt_masks": (random.random((size, 4, 56, 56)) < 0.7).astype(np.uint8),
        "sampling_seeds": np.arange(size, dtype=np.uint32),
        "photo_index": np.arange(size, dtype=np.int32),
    }


def fresh_network() -> MaskRCNN:
    make_reproducible(1, deterministic=True)
    network = build_network(PARAMS.model, CATEGORIES, PARAMS.inference, PARAMS.sampling)
    assert isinstance(network, MaskRCNN)
    return network


def run(
    network: MaskRCNN,
    stage: Stage,
    folder: Path,
    on_epoch: Callable[[dict[str, Any]], None] = lambda row: None,
    **changes: Any,
) -> TrainingResult:
    batches = partial(FixedBatches, make_batch, 1)
    settings = changed(PARAMS.train, changes)
    return train(network, stage, settings, batches, [make_batch(100)], TrainingState(folder), on_epoch)


def weights_of(network: keras.Model) -> list[np.ndarray]:
    return [np.array(weight) for weight in network.get_weights()]


def all_equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_heads_leave_each_backbone_weight_as_it_was(tmp_path: Path) -> None:
    network = fresh_network()
    backbone, head = weights_of(network.backbone), weights_of(network.box_head)
    result = run(network, Stage("train_heads", "heads", 1, 1e-3), tmp_path / "state")
    assert all_equal(weights_of(network.backbone), backbone)
    assert not all_equal(weights_of(network.box_head), head)
    assert all(np.isfinite(result.history[0][f"val_{name}"]) for name in network.loss_names)


def test_a_resumed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    """All layers, with batch norm's statistics and the optimizer's, and the averages of both.

    test_resume.py has kill -9 with the toy network, with and without averages.
    """
    stage = Stage("finetune", "all", 2, 1e-3)

    def keep_first(row: dict[str, Any]) -> None:
        if row["epoch"] == 1:
            shutil.copytree(tmp_path / "undisturbed", tmp_path / "after one epoch")

    undisturbed, resumed = fresh_network(), fresh_network()
    initial = weights_of(undisturbed)
    expected = run(undisturbed, stage, tmp_path / "undisturbed", keep_first, ema_decay=0.9)
    assert run(resumed, stage, tmp_path / "after one epoch", ema_decay=0.9).history == expected.history
    assert all_equal(weights_of(resumed), weights_of(undisturbed))
    assert not all_equal(weights_of(resumed), initial)


def test_padding_photos_count_in_no_validation_loss() -> None:
    photos = make_batch(100, size=5)
    training = TrainingNetwork(fresh_network(), {}, l2_decay=0.0)
    training.compile()
    losses = [
        training.evaluate(
            ((model_inputs(batch),) for batch in batches), steps=len(batches), return_dict=True, verbose=0
        )
        for batches in (rebatch(photos, 5), rebatch(photos, 4))
    ]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert losses[0]["mask_loss"] > 0


def test_the_backbone_of_the_factor_is_the_trained_part_of_the_backbone() -> None:
    network = fresh_network()
    network.set_phase("all")
    names = {variable.path for variable in network.backbone_variables}
    assert names == {variable.path for variable in network.backbone.trainable_variables} != set()
    network.set_phase("heads")
    assert network.backbone_variables == []
