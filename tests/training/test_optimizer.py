"""The learning rate over a stage, the weights that decay, and clipping."""

import dataclasses

import keras
import numpy as np
import pytest

from fashionseg.params import Train, load_params
from fashionseg.training.optimizer import WarmupCosine, learning_rate_schedule, make_optimizer, uses_l2_loss


@pytest.fixture
def settings() -> Train:
    return dataclasses.replace(load_params().train, warmup_steps=10, schedule="cosine")


@pytest.mark.parametrize(("warmup_steps", "final"), [(10, 0.0), (10, 1.0), (0, 0.0)])
def test_the_schedule_is_the_cosine_decay_of_keras(warmup_steps: int, final: float) -> None:
    expected = keras.optimizers.schedules.CosineDecay(
        0.001 if warmup_steps else 0.1,
        decay_steps=100,
        alpha=final,
        warmup_target=0.1 if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
    schedule = WarmupCosine(0.1, warmup_steps, decay_steps=100, final_share=final)
    for step in range(130):
        assert rate_at(schedule, step) == pytest.approx(rate_at(expected, step), rel=1e-5, abs=1e-8)


def rate_at(schedule: keras.optimizers.schedules.LearningRateSchedule, step: int) -> float:
    return float(schedule(step))


def test_warmup_is_linear_from_a_hundredth(settings: Train) -> None:
    schedule = learning_rate_schedule(settings, learning_rate=0.1, total_steps=110)
    assert rate_at(schedule, 0) == pytest.approx(0.001)
    assert rate_at(schedule, 5) == pytest.approx((0.001 + 0.1) / 2)
    assert rate_at(schedule, 10) == pytest.approx(0.1)


def test_cosine_is_half_way_down_in_the_middle_and_zero_at_the_end(settings: Train) -> None:
    schedule = learning_rate_schedule(settings, learning_rate=0.1, total_steps=110)
    assert rate_at(schedule, 60) == pytest.approx(0.05)
    assert rate_at(schedule, 110) == pytest.approx(0.0, abs=1e-9)


def test_a_constant_rate_stays_after_warmup(settings: Train) -> None:
    constant = dataclasses.replace(settings, schedule="constant")
    schedule = learning_rate_schedule(constant, learning_rate=0.1, total_steps=110)
    assert [rate_at(schedule, step) for step in (10, 60, 110)] == pytest.approx([0.1, 0.1, 0.1])


def test_warmup_takes_at_most_half_of_a_short_stage(settings: Train) -> None:
    schedule = learning_rate_schedule(settings, learning_rate=0.1, total_steps=4)
    assert rate_at(schedule, 2) == pytest.approx(0.1)


def test_adamw_excludes_biases_and_batch_norm_from_decay(settings: Train) -> None:
    strong = dataclasses.replace(
        settings, optimizer="adamw", weight_decay=0.5, schedule="constant", warmup_steps=0
    )
    optimizer = make_optimizer(strong, learning_rate=0.1, total_steps=10)
    kernel, bias = (keras.Variable(np.ones(2), name=name) for name in ("kernel", "bias"))
    optimizer.apply([np.zeros(2, np.float32)] * 2, [kernel, bias])
    np.testing.assert_allclose(kernel, 1.0 - 0.1 * 0.5)
    np.testing.assert_array_equal(bias, 1.0)


def test_gradients_are_clipped_at_their_global_norm(settings: Train) -> None:
    plain = dataclasses.replace(
        settings,
        optimizer="sgd",
        momentum=0.0,
        gradient_clip_norm=1.0,
        schedule="constant",
        warmup_steps=0,
    )
    optimizer = make_optimizer(plain, learning_rate=1.0, total_steps=10)
    a, b = keras.Variable([0.0]), keras.Variable([0.0])
    optimizer.apply([np.array([3.0], np.float32), np.array([4.0], np.float32)], [a, b])
    # The norm of (3, 4) is 5: both shrink by 5, unlike with a clip per array.
    np.testing.assert_allclose([a[0], b[0]], [-0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_backbone_has_its_own_rate_and_weight_decay(settings: Train, name: str) -> None:
    """One step on a gradient of 1: SGD moves a weight by the rate, AdamW too, and decays it before by rate * decay."""
    plain = dataclasses.replace(
        settings,
        optimizer=name,
        momentum=0.0,
        weight_decay=0.5,
        gradient_clip_norm=100.0,
        schedule="constant",
        warmup_steps=0,
        backbone_rate=0.1,
    )
    backbone, head, bias = (keras.Variable([2.0], name=name) for name in ("kernel", "kernel", "bias"))
    optimizer = make_optimizer(plain, learning_rate=0.1, total_steps=10, backbone=[backbone, bias])
    optimizer.apply([np.ones(1, np.float32)] * 3, [backbone, head, bias])
    decay = 0.5 if name == "adamw" else 0.0
    expected = [2.0 * (1 - rate * share) - rate for rate, share in ((0.01, decay), (0.1, decay), (0.01, 0.0))]
    np.testing.assert_allclose(np.concatenate([backbone, head, bias]), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_factor_of_one_and_no_average_are_keras_own_optimizer(settings: Train, name: str) -> None:
    """The same bits, and no further variables."""
    plain = dataclasses.replace(settings, optimizer=name, weight_decay=0.5, backbone_rate=1.0, ema_decay=0.0)
    rate = learning_rate_schedule(plain, 0.1, 10)
    keras_own = (
        keras.optimizers.SGD(rate, momentum=plain.momentum, global_clipnorm=plain.gradient_clip_norm)
        if name == "sgd"
        else keras.optimizers.AdamW(rate, weight_decay=0.5, global_clipnorm=plain.gradient_clip_norm)
    )
    initial = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    ours, others = ([keras.Variable(values, name="kernel") for values in initial] for _ in range(2))
    optimizer = make_optimizer(plain, learning_rate=0.1, total_steps=10, backbone=ours[:1])
    for step in range(3):
        gradients = list(np.random.default_rng(step).normal(size=(2, 50)).astype(np.float32))
        optimizer.apply(gradients, ours)
        keras_own.apply(gradients, others)
    np.testing.assert_array_equal(np.stack(ours), np.stack(others))
    assert len(optimizer.variables) == len(keras_own.variables)


def test_matterports_decay_goes_with_sgd_only(settings: Train) -> None:
    assert uses_l2_loss(dataclasses.replace(settings, optimizer="sgd", weight_decay=1e-4))
    assert not uses_l2_loss(dataclasses.replace(settings, optimizer="adamw", weight_decay=1e-4))
