"""tune.yaml: invalid settings are refused before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fashionseg.errors import UserError
from fashionseg.params import load_params, to_dict
from fashionseg.tune.settings import load_tuning

START = "name: a\ntrials: 2\nseed: 1\npruning: {startup_trials: 1, warmup_epochs: 0}\nspace:\n  "


@pytest.fixture
def params(repo: Path) -> dict[str, Any]:
    return to_dict(load_params(repo / "params.yaml"))


def test_committed_settings_match_the_committed_parameters(repo: Path, params: dict[str, Any]) -> None:
    assert len(load_tuning(repo / "tune.yaml", params).space) >= 2


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("train.finetune.learning_rat: {low: 0.1, high: 0.2}", "no such key in params.yaml"),
        ("split.validation_fraction: {low: 0.1, high: 0.2}", "not comparable"),
        ("train.loss_weights.mask_loss: {low: 0.1, high: 0.2}", "not comparable"),
        ("train.weight_decay: {low: 0.2, high: 0.1}", "low < high"),
        ("train.weight_decay: {low: 0, high: 0.1, log: true}", "low > 0 with log"),
        ("train.weight_decay: {low: 0.1}", "high"),
        ("train.optimizer: {choices: [sgd]}", "choices"),
    ],
)
def test_invalid_space_is_a_one_line_error(
    tmp_path: Path, params: dict[str, Any], space: str, message: str
) -> None:
    path = tmp_path / "tune.yaml"
    path.write_text(START + space)
    with pytest.raises(UserError) as error:
        load_tuning(path, params)
    assert message in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)
