"""The loop, with a toy network on fixed batches: losses, best epoch, the stop at NaN, padding photos."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import psutil
import pytest

from fashionseg.errors import UserError
from fashionseg.model.api import Network
from fashionseg.training.loop import TrainingResult, ValidationInputs, train
from fashionseg.training.network import TrainingNetwork, set_compute_type
from fashionseg.training.stage import Stage
from fashionseg.training.state import TrainingState
from fixed_batches import Batch, FixedBatches, rebatch
from toy_network import ToyNetwork, toy_batch
from toy_training import BATCH, EPOCHS, STAGE, STEPS, all_equal, fresh_network, make_settings, run, weights_of


def test_history_has_each_loss_of_the_network_and_the_best_epoch_the_lowest_validation_loss(
    tmp_path: Path,
) -> None:
    result = run(fresh_network(), tmp_path / "state", loss_weights={"place_loss": 0.5})
    assert [row["epoch"] for row in result.history] == [2, 3, 4]
    assert {row["stage"] for row in result.history} == {"finetune"}
    for row in result.history:
        for prefix in ("", "val_"):
            total = row[f"{prefix}label_loss"] + 0.5 * row[f"{prefix}place_loss"]
            assert row[f"{prefix}loss"] == pytest.approx(total, rel=1e-6)
    losses = [row["val_loss"] for row in result.history]
    assert (result.best_epoch, result.best_loss) == (2 + int(np.argmin(losses)), min(losses))
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_the_weights_of_the_best_epoch_are_left_in_the_network(tmp_path: Path) -> None:
    """The validation photos show a garment that no training photo shows, so that the first epoch is the best."""
    network = fresh_network()
    trained = [toy_batch(BATCH, number)["gt_classes"] for number in range(EPOCHS * STEPS)]
    other = min({1, 2, 3, 4, 5} - set(np.unique(trained)))
    validation = [toy_batch(BATCH, 0) | {"gt_classes": np.full((BATCH, 1), other, np.int32)}]
    stage = Stage("finetune", "all", EPOCHS, 0.3)
    result = run(
        network, tmp_path / "state", stage=stage, validation=validation, loss_weights={"place_loss": 0.0}
    )
    losses = [row["val_loss"] for row in result.history]
    evaluated = evaluate(network, validation)
    assert evaluated["label_loss"] == pytest.approx(min(losses), rel=1e-6)
    assert losses[-1] > min(losses)


@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_the_score_chooses_another_epoch_than_the_validation_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture, decay: float
) -> None:
    """The loss falls to the last epoch; the score is highest in the one before."""
    scores = iter([0.1, 0.3, 0.2])
    network = fresh_network()
    seen: list[list[np.ndarray]] = []

    def score() -> float:
        seen.append(weights_of(network))
        return next(scores)

    by_loss = run(fresh_network(), tmp_path / "loss", ema_decay=decay)
    result = run(network, tmp_path / "score", score=score, ema_decay=decay)
    assert (by_loss.best_epoch, by_loss.best_score) == (4, None)
    assert (result.best_epoch, result.best_score) == (3, 0.3)
    assert result.best_loss == result.history[1]["val_loss"] == by_loss.history[1]["val_loss"]
    assert [row["val_score"] for row in result.history] == [0.1, 0.3, 0.2]
    assert not any("val_score" in row for row in by_loss.history)
    # The weights that were scored are the ones that are kept.
    assert all_equal(weights_of(network), seen[1])
    assert not all_equal(seen[1], seen[2])
    lines = [line for line in capsys.readouterr().out.splitlines() if "val score" in line]
    assert re.search(r"  val loss \S+  val score 0\.3000 \(best\)  ", lines[1])
    assert "(best)" not in lines[2]


def test_of_epochs_of_the_same_score_the_one_with_the_lower_loss_is_the_best(tmp_path: Path) -> None:
    result = run(fresh_network(), tmp_path / "state", score=lambda: 0.0)
    losses = [row["val_loss"] for row in result.history]
    assert result.best_epoch == 2 + int(np.argmin(losses)) == 4


def test_averaged_weights_are_validated_and_kept_and_raw_ones_trained(tmp_path: Path) -> None:
    """One step per epoch and a decay that is never reached: the average after each step is worked out from the raw
    weights of the epochs before, with the decays 1/10, 2/11 and 3/12."""
    raw_network, network = fresh_network(), fresh_network()
    expected = weights_of(raw_network)
    raw: list[list[np.ndarray]] = []
    batches = partial(FixedBatches, partial(toy_batch, BATCH), 1)
    validation = [toy_batch(BATCH, 100)]

    def train_on(network: Network, name: str, score: Callable[[], float], decay: float) -> TrainingResult:
        settings = make_settings(ema_decay=decay)
        state = TrainingState(tmp_path / name)
        return train(network, STAGE, settings, batches, validation, state, lambda row: None, score)

    def keep_raw() -> float:
        raw.append(weights_of(raw_network))
        return float(len(raw))

    averaged: list[list[np.ndarray]] = []

    def keep_averaged() -> float:
        averaged.append(weights_of(network))
        return float(len(averaged))

    plain = train_on(raw_network, "raw", keep_raw, 0.0)
    result = train_on(network, "averaged", keep_averaged, 0.99)
    for decay, weights, found in zip((1 / 10, 2 / 11, 3 / 12), raw, averaged, strict=True):
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, weights, strict=True)]
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    assert not all_equal(averaged[-1], raw[-1])
    assert all_equal(weights_of(network), averaged[-1])
    # The training itself is the same, to the bit; the validation is of the averaged weights.
    for row, other in zip(result.history, plain.history, strict=True):
        assert [row[name] for name in ("loss", "label_loss", "place_loss")] == [
            other[name] for name in ("loss", "label_loss", "place_loss")
        ]
    assert evaluate(network, validation)["loss"] == pytest.approx(result.best_loss, rel=1e-6)
    assert result.best_loss != plain.best_loss


def test_a_factor_of_the_rate_of_the_backbone_changes_the_backbone_only_a_little(tmp_path: Path) -> None:
    moved = {}
    for factor in (1.0, 1e-3):
        network = fresh_network()
        before = weights_of(network.backbone), weights_of(network.head)
        run(network, tmp_path / str(factor), backbone_rate=factor)
        after = weights_of(network.backbone), weights_of(network.head)
        moved[factor] = [
            max(float(np.abs(new - old).max()) for old, new in zip(*parts, strict=True))
            for parts in zip(before, after, strict=True)
        ]
    assert moved[1e-3][0] < 0.01 * moved[1.0][0]
    assert moved[1e-3][1] > 0.5 * moved[1.0][1]


def test_one_numbering_of_epochs(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Over all stages, as in history.csv: the epoch reported as best is the best epoch."""
    result = run(fresh_network(), tmp_path / "state")
    lines = capsys.readouterr().out.splitlines()
    numbers = [re.match(r"finetune epoch (\d)/4 ", line) for line in lines]
    assert [int(number[1]) for number in numbers if number] == [2, 3, 4]
    assert [line for line in lines if "(best)" in line][-1].startswith(
        f"finetune epoch {result.best_epoch}/4 "
    )


def test_the_terminal_has_the_names_of_the_networks_losses(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run(fresh_network(), tmp_path / "state")
    line = capsys.readouterr().out.splitlines()[0]
    expected = r"finetune epoch 2/4  loss \S+  label \S+  place \S+  val loss \S+ \(best\)  \S+ photos/s  \S+ min left"
    assert re.fullmatch(expected, line)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (
            0,
            "loss is not finite in epoch 3, batch 2 of 2 .*; photos: a.jpg, b.jpg; the batch before: d.jpg, e.jpg;",
        ),
        (
            1,
            "validation loss is not finite after epoch 3; photos: d.jpg, e.jpg; the batch before: a.jpg, b.jpg;",
        ),
    ],
    ids=["in an epoch", "in the last step"],
)
@pytest.mark.fault(
    table="processes",
    case="loss or weights not finite",
    outcome="training stops and names the photos of this step and the one before; completed epochs are kept",
)
def test_a_loss_that_is_not_finite_stops_with_the_photos_named_and_the_epoch_before_kept(
    tmp_path: Path, place: int, expected: str
) -> None:
    """NaN boxes where there is no garment: the loss skips them, the gradient does not, and the next step shows it."""

    class PoisonedBatches(FixedBatches):
        def __iter__(self) -> Iterator[Batch]:
            for number, batch in enumerate(super().__iter__()):
                if number != STEPS + place:
                    yield batch
                    continue
                yield batch | {
                    "gt_classes": np.zeros_like(batch["gt_classes"]),
                    "gt_boxes": np.full_like(batch["gt_boxes"], np.nan),
                    "photo_index": np.array([3, 4], np.int32),
                }

    network = fresh_network()
    with pytest.raises(UserError, match=expected):
        run(network, tmp_path / "state", batches=PoisonedBatches)
    state = TrainingState(tmp_path / "state")
    assert state.epochs_done == 1
    state.load_best(network)
    assert all(np.isfinite(weight).all() for weight in weights_of(network))


@pytest.mark.parametrize("fails_in", ["training", "validation"])
def test_an_error_of_the_loader_arrives_as_it_was_raised(tmp_path: Path, fails_in: str) -> None:
    """Through Keras, where TensorFlow wraps it in an error of its own."""

    class Failing(list):
        def __iter__(self) -> Iterator[Batch]:
            yield toy_batch(BATCH, 0)
            yield toy_batch(BATCH, 0)  # Keras reads two batches ahead of the evaluation
            raise UserError("photo 7 is damaged")

    class FailingBatches(FixedBatches):
        def __iter__(self) -> Iterator[Batch]:
            yield from Failing()

    with pytest.raises(UserError, match=r"^photo 7 is damaged$"):
        if fails_in == "training":
            run(fresh_network(), tmp_path / "state", batches=FailingBatches)
        else:
            run(fresh_network(), tmp_path / "state", validation=Failing([{}, {}, {}]))


def test_memory_does_not_grow_with_the_epochs(tmp_path: Path) -> None:
    """TensorFlow kept an optimizer of each checkpoint and the functions of each validation's generator (80 KB), JAX a
    compiled condition of each reading of the learning rate (1.4 MB)."""
    warm_up, epochs = 20, 80
    resident: dict[int, int] = {}

    def measure(row: dict[str, Any]) -> None:
        if row["epoch"] % warm_up == 0:
            gc.collect()  # what waits for collection is no growth
            resident[row["epoch"]] = psutil.Process().memory_info().rss

    network, stage = fresh_network(), Stage("finetune", "all", epochs, 1e-3)
    settings = make_settings(jit_compile=keras.backend.backend() == "jax")
    batches = partial(FixedBatches, partial(toy_batch, BATCH), 1)
    train(
        network, stage, settings, batches, [toy_batch(BATCH, 100)], TrainingState(tmp_path / "state"), measure
    )
    assert (resident[epochs] - resident[warm_up]) / (epochs - warm_up) < 40_000  # bytes


def test_padding_photos_count_in_no_validation_loss(tmp_path: Path) -> None:
    """The loss of five photos is the same in one batch and in batches of two, the last one padded."""
    photos = toy_batch(5, 100)
    results = [
        run(fresh_network(), tmp_path / str(size), validation=rebatch(photos, size)) for size in (5, 2, 4)
    ]
    for result in results[1:]:
        assert result.best_epoch == results[0].best_epoch
        for row, expected in zip(result.history, results[0].history, strict=True):
            losses = {name: value for name, value in row.items() if "loss" in name}
            assert losses == pytest.approx({name: expected[name] for name in losses}, rel=1e-6)


def test_a_data_set_without_anything_counted_has_loss_zero() -> None:
    (batch,) = rebatch(toy_batch(1, 0), 2)
    batch |= {"photo_index": np.full(2, -1, np.int32)}
    assert evaluate(fresh_network(), [batch]) == {"loss": 0.0, "label_loss": 0.0, "place_loss": 0.0}


def evaluate(network: Network, batches: Sequence[Batch]) -> dict[str, float]:
    training = TrainingNetwork(network, {}, l2_decay=0.0)
    training.compile()
    return training.evaluate(ValidationInputs(batches, []), return_dict=True, verbose=0)


def test_validation_batches_are_right_in_whatever_order_they_are_read() -> None:
    """Keras may read ahead in an iteration that it has dropped while it reads the one that counts."""
    batches = rebatch(toy_batch(8, 100), 2)
    inputs = ValidationInputs(batches, [])
    for index in (0, 1, 0, 2, 1, 3, 2, 3):
        (given,) = inputs[index]
        np.testing.assert_array_equal(given["images"], batches[index]["images"])


def test_heads_leave_each_weight_of_the_backbone_as_it_was(tmp_path: Path) -> None:
    network = fresh_network()
    backbone, head = (weights_of(part) for part in (network.backbone, network.head))
    run(network, tmp_path / "state", stage=Stage("train_heads", "heads", 1, 1e-2))
    assert all_equal(weights_of(network.backbone), backbone)
    assert not all_equal(weights_of(network.head), head)


def test_a_weight_of_an_unknown_loss_is_refused(tmp_path: Path) -> None:
    expected = r"train\.loss_weights: expected the losses of toy \(label_loss, place_loss\), got mask_loss"
    with pytest.raises(UserError, match=expected):
        run(fresh_network(), tmp_path / "state", loss_weights={"mask_loss": 1.0})


def test_mixed_precision_does_not_round_the_boxes() -> None:
    seen: dict[str, str] = {}

    class Recording(ToyNetwork):
        def loss_terms(self, batch: dict[str, Any], training: bool) -> dict[str, Any]:
            seen.update({name: keras.backend.standardize_dtype(value.dtype) for name, value in batch.items()})
            return super().loss_terms(batch, training)

    set_compute_type(mixed_precision=True)
    try:
        network = Recording(64, 6, 0.05)
        assert network.head.compute_dtype == "bfloat16"
        evaluate(network, [toy_batch(2, 0)])
    finally:
        set_compute_type(mixed_precision=False)
    assert seen["gt_boxes"] == "float32"
