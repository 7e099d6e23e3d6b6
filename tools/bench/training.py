"""A training step compared with the same network's layers alone."""

from __future__ import annotations

import gc
from typing import Any

import keras
import numpy as np

from fashionseg.model.build import build_mask_rcnn
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.params import Params, changed
from fashionseg.taxonomy import competition_taxonomy
from fashionseg.training.network import TrainingNetwork
from fashionseg.training.optimizer import make_optimizer, uses_l2_loss
from tools.bench.floor import LayersAlone
from tools.bench.inputs import MASKS_PER_PHOTO, NUM_CATEGORIES
from tools.bench.rows import Bench, Row
from tools.bench.timing import in_turns, spread

BATCH = 2
# Seconds per photo of Matterport's code with all layers on 2 cores: quoted, measured on another machine.
MATTERPORT_SECONDS = {
    ("resnet50", 256): 4.3,
    ("resnet50", 512): 5.2,
    ("resnet101", 256): 3.6,
    ("resnet101", 512): 5.8,
}
_TIMES_MATTERPORT = {256: 2.0, 512: 1.5}
_TIMES_FLOOR = 1.3
_LIMIT_SECONDS = 60.0  # per network, so that a slow machine finishes too


def measure_training(bench: Bench) -> list[Row]:
    """Two rows for each network."""
    rows = []
    for backbone, side in bench.networks:
        rows += _measure(bench, backbone, side)
        keras.utils.clear_session(free_memory=True)
        gc.collect()
    return rows


def _measure(bench: Bench, backbone: str, side: int) -> list[Row]:
    params = changed(bench.params, {"model.backbone.name": backbone, "model.image_size": side})
    step, floor = compiled_step(params), compiled_floor(params)
    batch = make_batch(params, BATCH)
    seconds = in_turns(
        {"ours": lambda: step.train_on_batch(batch), "layers": lambda: floor.train_on_batch(batch)},
        bench.repeats,
        limit_seconds=_LIMIT_SECONDS,
    )
    ours, layers = min(seconds["ours"]), min(seconds["layers"])
    on = f"{backbone}, {side} px, batch {BATCH}, {params.sampling.rois_per_image} RoIs"
    rows = [
        Row(
            "training step, against layers alone",
            on,
            ours / layers,
            "x",
            _TIMES_FLOOR,
            note=f"step: {spread(seconds['ours'])}; layers: {spread(seconds['layers'])}",
        )
    ]
    if quoted := MATTERPORT_SECONDS.get((backbone, side)):
        rows.append(
            Row(
                "training step, against Matterport's code",
                on,
                quoted / (ours / BATCH),
                "x",
                _TIMES_MATTERPORT[side],
                lower_is_better=False,
                note=f"{ours / BATCH:.2f} s per photo; Matterport's {quoted} s is quoted",
            )
        )
    return rows


def _network(params: Params) -> MaskRCNN:
    groups = competition_taxonomy().category_groups
    return build_mask_rcnn(params.model, NUM_CATEGORIES, params.inference, params.sampling, groups)


def compiled_step(params: Params, jit_compile: bool = False) -> TrainingNetwork:
    """The step of the training stages: all layers trained, losses, weight decay, clipping, update."""
    network = _network(params)
    decay = params.train.weight_decay if uses_l2_loss(params.train) else 0.0
    training = TrainingNetwork(network, params.train.loss_weights, decay)
    return _compile(training, params, jit_compile)


def compiled_floor(params: Params, jit_compile: bool = False) -> LayersAlone:
    """The layers alone, with the same optimizer."""
    network = _network(params)
    sampler = network.roi_sampler
    assert sampler is not None
    return _compile(LayersAlone(network, sampler.rois_per_image, sampler.num_masks), params, jit_compile)


def _compile(network: Any, params: Params, jit_compile: bool) -> Any:
    # A learning rate that never diverges: only the time of the update counts.
    optimizer = make_optimizer(changed(params.train, warmup_steps=0), 1e-9, 1000)
    network.compile(optimizer=optimizer, jit_compile=jit_compile)
    optimizer.build(network.trainable_variables)
    return network


def make_batch(params: Params, batch_size: int, instances: int = MASKS_PER_PHOTO) -> dict[str, np.ndarray]:
    """A synthetic batch with the loader's keys, `instances` per photo."""
    rng = np.random.default_rng(0)
    side, most = params.model.image_size, params.sampling.max_gt_instances
    count = min(instances, most)
    corners = rng.uniform(0, 0.5, (batch_size, count, 2))
    sizes = rng.uniform(0.1, 0.5, (batch_size, count, 2))
    boxes = np.zeros((batch_size, most, 4), np.float32)
    boxes[:, :count] = np.round(np.concatenate((corners, corners + sizes), axis=2) * side)
    classes = np.zeros((batch_size, most), np.int32)
    classes[:, :count] = rng.integers(1, NUM_CATEGORIES + 1, (batch_size, count))
    mini = params.sampling.mini_mask_size
    masks = np.zeros((batch_size, most, mini, mini), np.uint8)
    masks[:, :count, 4:-4, 4:-4] = 1
    return {
        "images": rng.integers(0, 256, (batch_size, side, side, 3), dtype=np.uint8),
        "gt_classes": classes,
        "gt_boxes": boxes,
        "gt_masks": masks,
        "sampling_seeds": np.arange(batch_size, dtype=np.uint32),
        "photo_index": np.arange(batch_size, dtype=np.int32),
        "is_photo": np.ones(batch_size, bool),
    }
