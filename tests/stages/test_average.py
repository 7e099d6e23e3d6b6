"""`fashionseg average` on the sample with the toy network, and the mean and the statistics of small networks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from fashionseg.cli import main
from fashionseg.model.folder import load_network, save_network
from fashionseg.model.networks import ARCHITECTURES, build_network
from fashionseg.params import PARAMS_FILE, changed, load_params, read_yaml
from fashionseg.training.statistics import estimate_statistics, num_batches
from small_params import make_small_params
from toy_network import NAME, build_toy, toy_batch

CATEGORIES = tuple(map(str, range(46)))
TOY = {"model.architecture": NAME, "model.image_size": 64, "inference.score_threshold": 0.0}


@pytest.fixture
def project(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample with three models of a toy network, `a`, `b` and that of the workspace."""
    monkeypatch.setitem(ARCHITECTURES, NAME, build_toy)
    shutil.copytree(sample / "data", tmp_path / "data", symlinks=True)
    values = read_yaml(sample / PARAMS_FILE)
    values["model"] |= {"architecture": NAME, "image_size": 64}
    values["inference"] |= {"score_threshold": 0.0}
    values["loader"] |= {"workers": 0}
    (tmp_path / PARAMS_FILE).write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    params = load_params()
    for seed, folder in enumerate(("a", "b", "models/finetuned")):
        keras.utils.set_random_seed(seed)
        network = build_network(params.model, len(CATEGORIES), params.inference)
        save_network(network, params.model, CATEGORIES, tmp_path / folder)
    return tmp_path


def weights_of(folder: Path) -> list[np.ndarray]:
    return load_network(folder, load_params().inference).network.get_weights()


def test_an_average_is_a_model_and_a_run_like_any_other(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["average", "a", "b", "workspace"]) == 0
    said = capsys.readouterr().out
    assert "averaged: score " in said
    assert "valid -> averaged/submission.csv" in said
    means = np.mean
    for mean, *others in zip(
        weights_of(Path("averaged/model")),
        *(weights_of(Path(name)) for name in ("a", "b", "models/finetuned")),
        strict=True,
    ):
        np.testing.assert_allclose(mean, means(others, axis=0), rtol=1e-6, atol=1e-7)
    assert json.loads(Path("averaged/average.json").read_text()) == {"runs": ["a", "b", "workspace"]}
    assert main(["compare", "averaged", "averaged"]) == 0
    # Replaced as a whole; an average is averaged like any other model.
    assert main(["average", "averaged", "a"]) == 0
    assert main(["average", "a", "b", "--out", "more"]) == 0
    assert main(["ensemble", "averaged", "more"]) == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a"], "expected at least two different runs, got a"),
        (["a", "other"], "other: expected model.image_size 64 as in a, got 96; models of one architecture"),
        (["a", "names"], "names: expected the 46 categories of a, got others"),
        (["a", "nosuch"], "nosuch: no such folder"),
        (["a", "b", "--out", "data"], "--out: data exists and is no ensemble or average"),
    ],
)
@pytest.mark.fault(
    table="params",
    case="`fashionseg average` of models that do not belong together",
    outcome="refused, the run and the key named; nothing is written",
)
def test_what_cannot_be_averaged_is_one_line(
    project: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    params = load_params()
    larger = changed(params.model, {"image_size": 96})
    save_network(build_network(larger, 46, params.inference), larger, CATEGORIES, Path("other"))
    save_network(
        build_network(params.model, 46, params.inference), params.model, CATEGORIES[::-1], Path("names")
    )
    assert main(["average", *words]) == 2
    assert expected in capsys.readouterr().err
    assert not Path("averaged").exists()


def test_statistics_are_those_of_the_weights_and_the_weights_stay() -> None:
    """A batch that is always the same: the first layer's moving mean becomes the mean of its output."""
    params = make_small_params({"model.batch_norm.momentum": 0.5})
    keras.utils.set_random_seed(0)
    network = build_network(params.model, 5, params.inference, params.sampling)
    batch = {**toy_batch(2, 0), "gt_masks": np.ones((2, 4, 56, 56), np.uint8)}
    batch["images"] = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    before = [np.array(weight) for weight in network.trainable_weights]
    stem = next(layer for layer in network.backbone.layers if hasattr(layer, "norm"))
    stem.norm.moving_mean.assign(np.full(stem.norm.moving_mean.shape, 1000.0))
    estimate_statistics(network, (dict(batch) for _ in iter(int, 1)), 0.5)
    for old, weight in zip(before, network.trainable_weights, strict=True):
        np.testing.assert_array_equal(old, weight)
    centred = (batch["images"].astype(np.float32) - network.pixel_mean) * network.pixel_scale
    output = np.array(stem.conv(keras.ops.pad(centred, [(0, 0), (3, 3), (3, 3), (0, 0)])))
    expected = output.mean(axis=(0, 1, 2))
    assert num_batches(0.5) == 7
    np.testing.assert_allclose(
        stem.norm.moving_mean, expected + (1000.0 - expected) * 0.5**7, rtol=0.05, atol=0.5
    )
