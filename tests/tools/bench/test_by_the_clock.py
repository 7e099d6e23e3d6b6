"""Training by the clock, with a fake clock that steps advance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools.bench.by_the_clock import PROGRESS, Progress, lap_length, learning_rate, train_by_the_clock

from fashionseg.errors import UserError


class Fake:
    """Steps of one second on a fake clock; the first lap of a process also takes `start_up`."""

    def __init__(self, start_up: float = 0.0, loss: float = 1.0) -> None:
        self.now, self.start_up, self.loss = 0.0, start_up, loss
        self.laps: list[tuple[int, float]] = []
        self.loaded = False

    def lap(self, steps: int, learning_rate: float) -> float:
        self.now += steps + (0.0 if self.laps else self.start_up)
        self.laps.append((steps, learning_rate))
        return self.loss

    def save(self, folder: Path) -> None:
        (folder / "weights").write_text(str(sum(steps for steps, _ in self.laps)))

    def load(self, folder: Path) -> None:
        self.loaded = (folder / "weights").exists()


def train(fake: Fake, state: Path, budget: float, deadline: float = float("inf")) -> Progress:
    return train_by_the_clock(fake, state, budget, 1.0, 0.1, deadline, clock=lambda: fake.now)


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    assert learning_rate(2.0, 0.0, 0.1) == pytest.approx(0.02)
    assert learning_rate(2.0, 0.05, 0.1) == pytest.approx(2.0 * (0.01 + 0.99 / 2))
    assert learning_rate(2.0, 0.1, 0.1) == pytest.approx(2.0)
    assert learning_rate(2.0, 0.55, 0.1) == pytest.approx(1.0)  # half-way down the cosine
    assert learning_rate(2.0, 1.0, 0.1) == pytest.approx(0.0)
    assert learning_rate(2.0, 1.5, 0.1) == pytest.approx(0.0)


def test_a_lap_takes_seconds_and_never_exceeds_the_budget() -> None:
    assert lap_length(Progress(), 100.0) == 1
    # 10 steps took 2 s: five seconds are 25 steps, the last second of 3 s holds 5.
    assert lap_length(Progress(seconds=2.0, steps=10), 100.0) == 25
    assert lap_length(Progress(seconds=2.0, steps=10), 3.0) == 5
    assert lap_length(Progress(seconds=50.0, steps=10), 50.5) == 1


def test_training_stops_after_the_budget_without_counting_compilation(tmp_path: Path) -> None:
    fake = Fake(start_up=1000.0)
    done = train(fake, tmp_path / "state", 60.0)
    assert (done.seconds, done.steps, done.uncounted_steps) == (60.0, 60, 3)
    rates = [rate for _, rate in fake.laps]
    assert rates[0] == pytest.approx(0.01) and max(rates) > 0.9 and rates[-1] < 0.05


def test_a_call_cut_off_by_its_deadline_is_resumed(tmp_path: Path) -> None:
    first = train(Fake(), tmp_path / "state", 60.0, deadline=20.0)
    assert 0 < first.seconds < 60
    assert json.loads((tmp_path / "state" / PROGRESS).read_text())["steps"] == first.steps
    fake = Fake()
    second = train(fake, tmp_path / "state", 60.0)
    assert fake.loaded
    assert (second.seconds, second.steps, second.uncounted_steps) == (60.0, 60, 6)
    assert fake.laps[0][1] == pytest.approx(learning_rate(1.0, first.seconds / 60, 0.1))
    after = Fake()
    assert train(after, tmp_path / "state", 60.0) == second and not after.laps


def test_a_call_that_mostly_compiles_still_makes_progress(tmp_path: Path) -> None:
    first = train(Fake(start_up=100.0), tmp_path / "state", 60.0, deadline=50.0)
    assert first.steps == 1
    assert train(Fake(start_up=100.0), tmp_path / "state", 60.0, deadline=50.0).steps > first.steps


def test_a_non_finite_loss_stops_before_saving(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"loss is not finite after 1 steps; lower --learning-rate"):
        train(Fake(loss=float("nan")), tmp_path / "state", 60.0)
    assert not (tmp_path / "state").exists()
