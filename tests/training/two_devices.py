"""Program run by test_devices.py: trains a tiny network on `argv[1]` virtual CPU devices, prints its losses as JSON.

Virtual devices are set up before TensorFlow starts, hence a process of its own.
"""

import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from fashionseg.model.build import build_mask_rcnn
from fashionseg.params import load_params
from fashionseg.reproducibility import make_reproducible
from fashionseg.training import devices, train
from fashionseg.training.network import set_trainable
from fashionseg.training.state import TrainingState

SIDE, BATCH, STEPS, EPOCHS, CATEGORIES = 64, 4, 3, 2, 5


def make_batch(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    corner = random.integers(0, 30, (BATCH, 4, 2))
    boxes = np.concatenate([corner, corner + random.integers(12, 30, (BATCH, 4, 2))], axis=-1)
    return {
        "images": random.integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8),
        "gt_classes": random.integers(1, CATEGORIES + 1, (BATCH, 4)).astype(np.int32),
        "gt_boxes": boxes.astype(np.float32),
        "gt_masks": (random.random((BATCH, 4, 56, 56)) < 0.7).astype(np.uint8),
        "photo_index": np.arange(BATCH, dtype=np.int32),
    }


class FixedBatches:
    image_ids = tuple(f"{number}.jpg" for number in range(64))
    steps_per_epoch = STEPS

    def __init__(self, start_epoch: int) -> None:
        self.next = start_epoch * STEPS

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        while True:
            yield make_batch(self.next % STEPS)
            self.next += 1

    def close(self) -> None:
        pass


def main() -> None:
    num_devices = int(sys.argv[1])
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * num_devices)
    names = [device.name for device in tf.config.list_logical_devices("CPU")]
    devices.find_gpus = lambda: names  # the virtual devices stand in for GPUs

    params = load_params(Path(sys.argv[2]))
    model = dataclasses.replace(
        params.model,
        backbone="resnet14",
        backbone_width=4,
        train_bn=False,
        image_max_dim=SIDE,
        top_down_pyramid_size=8,
        rpn_channels=8,
        fpn_classif_fc_layers_size=16,
        mask_channels=8,
        rpn_anchor_scales=(8.0, 16.0, 32.0, 48.0, 64.0),
        rpn_train_anchors_per_image=32,
        pre_nms_limit=100,
        post_nms_rois_training=30,
        train_rois_per_image=12,
        max_gt_instances=4,
    )
    settings = dataclasses.replace(
        params.train,
        optimizer="sgd",
        gpu_count=num_devices,
        images_per_gpu=BATCH // num_devices,
        warmup_steps=1,
    )
    make_reproducible(1, deterministic=False)
    with devices.shared_between(num_devices), tempfile.TemporaryDirectory() as folder:
        network = build_mask_rcnn(model, CATEGORIES, seed=1)
        set_trainable(network, "all")
        result = train(
            network,
            "finetune",
            settings,
            EPOCHS,
            1e-2,
            first_epoch=0,
            make_batches=FixedBatches,
            validation=lambda: [make_batch(100)],
            state=TrainingState(Path(folder) / "state"),
            on_epoch=lambda row: None,
        )
    print(json.dumps([{name: row[name] for name in ("loss", "val_loss")} for row in result.history]))


if __name__ == "__main__":
    main()
