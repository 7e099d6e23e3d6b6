"""Program run by test_devices.py: a network trained on one and on several virtual CPU devices, and its predictions.

`argv[1]` is `toy` or `mask_rcnn`, `argv[2]` the number of devices, up to four. Writes `1.npz` and `N.npz` into the
folder `argv[3]`: history, weights, detections, and the numbers of photos that each device was given. Virtual devices
are set up before the backend starts, hence a process of its own: one for both trainings, with TensorFlow or JAX.
"""

import gc
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

# Before the backends start. Nothing is measured here: they need not spend time on fast code.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4"
    " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import keras
import numpy as np
from tools.soak.inputs import SIDE, soak_params

from fashionseg import backend
from fashionseg.detections.inference import Detector, load_detector, make_detector, predict_photos
from fashionseg.model.api import LossTerm, Network
from fashionseg.model.folder import save_network
from fashionseg.model.networks import ARCHITECTURES, build_network
from fashionseg.params import Params, changed, load_params
from fashionseg.training.hardware import choose_training
from fashionseg.training.loop import train
from fashionseg.training.stage import Stage
from fashionseg.training.state import TrainingState
from fixed_batches import Batch, FixedBatches, rebatch
from toy_network import NAME, build_toy, toy_batch

BATCH, STEPS, EPOCHS, CATEGORIES = 4, 3, 2, 5
LEARNING_RATES = {"toy": 0.3, "mask_rcnn": 1e-3}
NAMES = ("a", "b", "c", "d", "e")


def make_batch(number: int) -> Batch:
    return make_photos(BATCH, number % STEPS)


def make_photos(count: int, seed: int) -> Batch:
    """Photos of one to four garments: a mean of the devices' means would not be the batch's."""
    random = np.random.default_rng(seed)
    corner = random.integers(0, 30, (count, 4, 2))
    boxes = np.concatenate([corner, corner + random.integers(12, 30, (count, 4, 2))], axis=-1)
    classes = random.integers(1, CATEGORIES + 1, (count, 4)).astype(np.int32)
    classes[np.arange(4)[None, :] > np.arange(count)[:, None]] = 0
    return toy_batch(count, seed) | {
        # Near the mean pixel: without trained statistics larger values, and rounding, grow from layer to layer.
        "images": random.integers(110, 120, (count, SIDE, SIDE, 3), dtype=np.uint8),
        "gt_classes": classes,
        "gt_boxes": boxes.astype(np.float32) * (classes > 0)[..., None],
        "gt_masks": (random.random((count, 4, 56, 56)) < 0.7).astype(np.uint8),
    }


def make_virtual_devices() -> list[str]:
    """Four, which stand in for GPUs."""
    if keras.backend.backend() == "jax":
        return keras.distribution.list_devices()  # as many as XLA_FLAGS says
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    # Optimising the graph of several replicas takes longer than running it six times.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    return [device.name for device in tf.config.list_logical_devices("CPU")]


class Shares:
    """What each device is given: (work, device, number of photos), in any order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def record(self, work: str, images: Any) -> None:
        """To be called in the network, whose runs it then counts."""
        if keras.backend.backend() == "jax":
            import jax

            # One run over all devices: how the compiler lays the photos out on them.
            jax.debug.inspect_array_sharding(images, callback=partial(self._add_layout, work, images.shape))
            return
        import tensorflow as tf

        def add(device: Any, count: Any) -> None:
            self.seen.append((work, int(device), int(count)))

        context = tf.distribute.get_replica_context()
        tf.py_function(add, [context.replica_id_in_sync_group, tf.shape(images)[0]], [])

    def _add_layout(self, work: str, shape: tuple[int, ...], sharding: Any) -> None:
        for device, place in sharding.devices_indices_map(shape).items():
            self.seen.append((work, device.id, len(range(*place[0].indices(shape[0])))))


def watch(network: Network, shares: Shares) -> Network:
    """The network, recording its runs."""
    loss_terms, call = network.loss_terms, network.call

    def watched_loss_terms(batch: dict[str, Any], training: bool) -> dict[str, LossTerm]:
        shares.record("training" if training else "validation", batch["images"])
        return loss_terms(batch, training)

    def watched_call(inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        shares.record("prediction", inputs["images"])
        return call(inputs, training)

    network.loss_terms, network.call = watched_loss_terms, watched_call
    return network


def run_on(num_devices: int, params: Params, out: Path) -> None:
    """Trains a fresh network on the first `num_devices` devices, and predicts with it."""
    keras.utils.clear_session(free_memory=True)
    backend.make_reproducible(1, deterministic=False)
    settings = choose_training(
        changed(params.train, num_devices=num_devices, images_per_device=BATCH // num_devices)
    )
    shares = Shares()
    build = ARCHITECTURES[params.model.architecture]
    ARCHITECTURES[params.model.architecture] = lambda *sections: watch(build(*sections), shares)
    with tempfile.TemporaryDirectory() as folder:
        with backend.shared_between(num_devices):
            network = build_network(params.model, CATEGORIES, params.inference, params.sampling)
            score = None
            if params.train.ema_decay:
                score = partial(mean_score, make_detector(network, NAMES), make_photos(6, 300)["images"])
            result = train(
                network,
                Stage("finetune", "all", EPOCHS, LEARNING_RATES[params.model.architecture]),
                settings,
                partial(FixedBatches, make_batch, STEPS),
                rebatch(make_photos(6, 100), BATCH),  # the last two places are padding
                TrainingState(Path(folder) / "state"),
                lambda row: None,
                score,
            )
            weights = {weight.path: keras.ops.convert_to_numpy(weight.value) for weight in network.weights}
            save_network(network, params.model, NAMES, Path(folder))
        detector = load_detector(Path(folder), params.inference, num_devices)
        photos = make_photos(6, 200)["images"]
        found = predict_photos(
            detector, ((f"{place}.jpg", photo) for place, photo in enumerate(photos)), batch_size=3
        )
    ARCHITECTURES[params.model.architecture] = build
    np.savez(
        out,
        history=json.dumps(result.history),
        shares=json.dumps(sorted(shares.seen)),
        **{f"weights/{name}": value for name, value in weights.items()},
        **{
            f"detections/{name}": getattr(found, name)
            for name in ("photo_index", "categories", "scores", "boxes_norm", "mask_probs")
        },
    )


def mean_score(detector: Detector, photos: np.ndarray) -> float:
    """Of the detections: stands in for the competition's score between two epochs."""
    named = ((f"{place}.jpg", photo) for place, photo in enumerate(photos))
    return float(predict_photos(detector, named, batch_size=3).scores.mean())


def main() -> None:
    gc.disable()  # a tenth of the time while graphs are traced
    architecture, count, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    names = make_virtual_devices()
    backend.find_gpus = lambda: names
    ARCHITECTURES[NAME] = build_toy
    params = changed(
        soak_params(load_params(Path("params.yaml"))),
        {
            "model.architecture": architecture,
            "model.batch_norm.backbone": False,
            "model.batch_norm.heads": False,
            "train.deterministic": False,
            "train.jit_compile": "auto",
            "train.optimizer": "sgd",
            "train.warmup_steps": 1,
            "train.loss_weights": {},
            # The toy network has the levers of the loop on, Mask R-CNN off.
            "train.ema_decay": 0.5 if architecture == "toy" else 0.0,
            "train.backbone_rate": 0.5 if architecture == "toy" else 1.0,
        },
    )
    for num_devices in (1, count):
        run_on(num_devices, params, folder / f"{num_devices}.npz")


if __name__ == "__main__":
    main()
