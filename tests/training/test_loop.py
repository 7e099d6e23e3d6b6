"""Training a tiny network on fixed batches: what is trained, what stays, and that a killed training goes on."""

import dataclasses
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tools.soak.inputs import SIDE, tiny_model

from fashionseg.backend import make_reproducible
from fashionseg.errors import UserError
from fashionseg.model.build import build_mask_rcnn, load_model, save_model
from fashionseg.model.losses import LOSS_NAMES
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.params import Model, Train, load_params
from fashionseg.training import TrainingResult, train
from fashionseg.training.network import set_trainable
from fashionseg.training.state import TrainingState

BATCH, STEPS, EPOCHS, CATEGORIES = 2, 2, 3, 5
NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def tiny() -> Model:
    return tiny_model(load_params().model)


@pytest.fixture
def settings() -> Train:
    return make_settings()


def make_settings() -> Train:
    return dataclasses.replace(
        load_params().train,
        deterministic=True,
        jit_compile=False,
        gpu_count=1,
        images_per_gpu=BATCH,
        warmup_steps=1,
    )


def make_batch(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    corner = random.integers(0, 30, (BATCH, 4, 2))
    boxes = np.concatenate([corner, corner + random.integers(12, 30, (BATCH, 4, 2))], axis=-1)
    classes = random.integers(1, CATEGORIES + 1, (BATCH, 4))
    boxes[:, 3], classes[:, 3] = 0, 0  # a padding row
    return {
        "images": random.integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8),
        "gt_classes": classes.astype(np.int32),
        "gt_boxes": boxes.astype(np.float32),
        "gt_masks": (random.random((BATCH, 4, 56, 56)) < 0.7).astype(np.uint8),
        "sampling_seeds": np.arange(BATCH, dtype=np.uint32),
        "photo_index": np.arange(BATCH, dtype=np.int32),
    }


class FixedBatches:
    """Batch n of the training is always the same, wherever one starts."""

    image_ids = ("left.jpg", "right.jpg")
    steps_per_epoch = STEPS

    def __init__(self, start_epoch: int) -> None:
        self.next = start_epoch * STEPS

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        while True:
            yield make_batch(self.next)
            self.next += 1

    def close(self) -> None:
        pass


class Stopped(Exception):
    pass


def run(
    network: MaskRCNN,
    settings: Train,
    folder: Path,
    stop_after: int | None = None,
    rate: float = 1e-3,
    make_batches: type[FixedBatches] = FixedBatches,
) -> TrainingResult:
    def on_epoch(row: dict[str, Any]) -> None:
        if row["epoch"] == stop_after:
            raise Stopped

    return train(
        network,
        "train_heads",
        settings,
        EPOCHS,
        rate,
        first_epoch=0,
        make_batches=make_batches,
        validation=lambda: [make_batch(100)],
        state=TrainingState(folder),
        on_epoch=on_epoch,
    )


def fresh_network(settings: Train) -> MaskRCNN:
    make_reproducible(1, settings.deterministic)
    network = build_mask_rcnn(tiny_model(load_params().model), CATEGORIES)
    set_trainable(network, "all")
    return network


def weights_of(network: keras.Model) -> list[np.ndarray]:
    return [np.array(weight) for weight in network.get_weights()]


def all_equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.fixture
def network(tiny: Model, settings: Train) -> MaskRCNN:
    make_reproducible(1, settings.deterministic)
    return build_mask_rcnn(tiny, CATEGORIES)


def test_heads_leave_each_backbone_weight_as_it_was(
    network: MaskRCNN, settings: Train, tmp_path: Path
) -> None:
    set_trainable(network, "heads")
    backbone, heads = weights_of(network.backbone), weights_of(network.box_head)
    run(network, settings, tmp_path / "state")
    assert all_equal(weights_of(network.backbone), backbone)
    assert not all_equal(weights_of(network.box_head), heads)


def stop_after_an_epoch(settings: Train, folder: Path) -> None:
    with pytest.raises(Stopped):
        run(fresh_network(settings), settings, folder, stop_after=2)


def kill_in_an_epoch(settings: Train, folder: Path) -> None:
    program = subprocess.run([sys.executable, Path(__file__).with_name("killed_training.py"), folder])
    assert program.returncode == -signal.SIGKILL


@pytest.mark.parametrize("interrupt", [stop_after_an_epoch, kill_in_an_epoch])
def test_an_interrupted_training_ends_with_the_weights_of_an_undisturbed_one(
    settings: Train, tmp_path: Path, interrupt: Callable[[Train, Path], None]
) -> None:
    undisturbed = fresh_network(settings)
    expected = run(undisturbed, settings, tmp_path / "undisturbed")
    interrupt(settings, tmp_path / "interrupted")
    done = TrainingState(tmp_path / "interrupted").epochs_done
    assert 0 < done < EPOCHS
    resumed = fresh_network(settings)
    result = run(resumed, settings, tmp_path / "interrupted")

    assert result.history == expected.history
    assert all_equal(weights_of(resumed), weights_of(undisturbed))
    # The control: another seed gives other weights.
    make_reproducible(2, settings.deterministic)
    other = build_mask_rcnn(tiny_model(load_params().model), CATEGORIES)
    assert not all_equal(weights_of(other), weights_of(undisturbed))


def test_history_has_each_loss_and_the_best_epoch_has_the_lowest_validation_loss(
    network: MaskRCNN, settings: Train, tmp_path: Path
) -> None:
    set_trainable(network, "all")
    result = run(network, settings, tmp_path / "state")
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    for name in ("loss", *LOSS_NAMES):
        assert all(np.isfinite(row[name]) and np.isfinite(row[f"val_{name}"]) for row in result.history)
    losses = [row["val_loss"] for row in result.history]
    assert result.best_epoch == 1 + int(np.argmin(losses))
    total = sum(result.history[0][f"val_{name}"] for name in LOSS_NAMES)
    assert result.history[0]["val_loss"] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            0,
            "loss is not finite in epoch 2, batch 2 of 2 .*; photos: a.jpg, b.jpg; the batch before: d.jpg, e.jpg;",
        ),
        (
            1,
            "validation loss is not finite after epoch 2; photos: d.jpg, e.jpg; the batch before: a.jpg, b.jpg;",
        ),
    ],
)
def test_a_loss_that_is_not_finite_stops_with_the_photos_named_and_the_epoch_before_kept(
    network: MaskRCNN, settings: Train, tmp_path: Path, place: int, expected: str
) -> None:
    """Boxes of NaN: the losses leave them out, the gradients do not, and the next step shows it."""

    class PoisonedBatches(FixedBatches):
        image_ids = ("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")

        def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
            for number, batch in enumerate(super().__iter__()):
                is_bad = number == STEPS + place
                boxes = np.full_like(batch["gt_boxes"], np.nan) if is_bad else batch["gt_boxes"]
                index = np.array([3, 4] if is_bad else [0, 1], np.int32)
                yield batch | {"gt_boxes": boxes, "photo_index": index}

    set_trainable(network, "all")
    with pytest.raises(UserError, match=expected):
        run(network, settings, tmp_path / "state", make_batches=PoisonedBatches)
    state = TrainingState(tmp_path / "state")
    assert state.epochs_done == 1
    state.load_best(network)
    assert all(np.isfinite(weight).all() for weight in weights_of(network))


def test_model_folder_gives_the_same_detections_and_the_same_bytes(
    network: MaskRCNN, tiny: Model, tmp_path: Path
) -> None:
    save_model(network, tiny, NAMES, tmp_path / "first")
    save_model(network, tiny, NAMES, tmp_path / "second")
    first, second = ((tmp_path / name / "model.weights.h5").read_bytes() for name in ("first", "second"))
    assert first == second

    loaded, model, names = load_model(tmp_path / "first")
    assert (model, names) == (tiny, NAMES)
    windows = np.array([[0, 0, SIDE, SIDE]] * BATCH, np.float32)
    photos = {"images": make_batch(3)["images"], "windows": windows}
    expected, output = network.predict_on_batch(photos), loaded.predict_on_batch(photos)
    np.testing.assert_array_equal(output["detections"], expected["detections"])
    np.testing.assert_array_equal(output["masks"], expected["masks"])
