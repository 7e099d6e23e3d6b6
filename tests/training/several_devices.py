"""Program run by test_devices.py: a tiny network trained on `argv[1]` virtual CPU devices, its losses and weights.

Virtual devices are set up before the backend starts, hence a process of its own. It is run with TensorFlow and JAX.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
from tools.soak.inputs import SIDE, tiny_model

from fashionseg.backend import make_reproducible
from fashionseg.model.build import build_mask_rcnn
from fashionseg.params import changed, load_params
from fashionseg.training import devices, train
from fashionseg.training.hardware import choose_training
from fashionseg.training.network import set_trainable
from fashionseg.training.state import TrainingState

BATCH, STEPS, EPOCHS, CATEGORIES = 4, 3, 2, 5


def make_batch(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    corner = random.integers(0, 30, (BATCH, 4, 2))
    boxes = np.concatenate([corner, corner + random.integers(12, 30, (BATCH, 4, 2))], axis=-1)
    classes = random.integers(1, CATEGORIES + 1, (BATCH, 4)).astype(np.int32)
    # Photos of one to four garments: a mean of the devices' means would not be the batch's.
    classes[np.arange(4)[None, :] > np.arange(BATCH)[:, None]] = 0
    return {
        # Near the mean pixel: without trained statistics larger values, and rounding, grow from layer to layer.
        "images": random.integers(110, 120, (BATCH, SIDE, SIDE, 3), dtype=np.uint8),
        "gt_classes": classes,
        "gt_boxes": boxes.astype(np.float32) * (classes > 0)[..., None],
        "gt_masks": (random.random((BATCH, 4, 56, 56)) < 0.7).astype(np.uint8),
        "sampling_seeds": np.arange(BATCH, dtype=np.uint32),
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


def make_virtual_devices(count: int) -> list[str]:
    """They stand in for GPUs."""
    if keras.backend.backend() == "jax":
        return keras.distribution.list_devices()  # as many as XLA_FLAGS says
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    return [device.name for device in tf.config.list_logical_devices("CPU")]


def main() -> None:
    num_devices = int(sys.argv[1])
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={num_devices}"
    names = make_virtual_devices(num_devices)
    devices.find_gpus = lambda: names

    params = load_params(Path(sys.argv[2]))
    model = changed(tiny_model(params.model), train_bn=False)
    settings = changed(
        params.train,
        deterministic=False,
        jit_compile="auto",
        optimizer="sgd",
        gpu_count=num_devices,
        images_per_gpu=BATCH // num_devices,
        warmup_steps=1,
    )
    make_reproducible(1, deterministic=False)
    settings = choose_training(settings)
    with devices.shared_between(num_devices), tempfile.TemporaryDirectory() as folder:
        network = build_mask_rcnn(model, CATEGORIES)
        set_trainable(network, "all")
        result = train(
            network,
            "finetune",
            settings,
            EPOCHS,
            1e-3,
            first_epoch=0,
            make_batches=FixedBatches,
            validation=lambda: [make_batch(100)],
            state=TrainingState(Path(folder) / "state"),
            on_epoch=lambda row: None,
        )
        weights = {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in network.weights}
    np.savez(sys.argv[3], history=json.dumps(result.history), **weights)


if __name__ == "__main__":
    main()
