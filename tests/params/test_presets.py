"""The presets: each is valid, all state the same keys, and going between them leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from fashionseg.cli import main
from fashionseg.params import Params, flatten, load_params, read_yaml

SOURCES = {
    "sample": "sample",
    "folder": "folder",
    "folder-long": "folder",
    "folder-gpu": "folder",
    "coco": "coco",
    "fashionpedia": "coco",
    "kaggle": "kaggle",
    "kaggle-dgx": "kaggle",
}
PRESETS = tuple(SOURCES)


def values_of(repo: Path, name: str) -> dict:
    return flatten(read_yaml(repo / "presets" / f"{name}.yaml"))


def apply(name: str) -> Params:
    paths = {
        "folder": ["download.folder=../photos"],
        "coco": ["download.folder=../photos", "download.annotations=../coco.json"],
    }
    assert main(["preset", name, *paths.get(SOURCES[name], [])]) == 0
    return load_params()


def test_these_are_the_presets(repo: Path) -> None:
    assert {path.stem for path in (repo / "presets").iterdir()} == set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_valid(project: Path, name: str) -> None:
    assert apply(name).download.source == SOURCES[name]


@pytest.mark.parametrize("name", PRESETS)
def test_all_presets_state_the_same_keys_in_the_same_order(repo: Path, name: str) -> None:
    assert list(values_of(repo, name)) == list(values_of(repo, "sample"))


def test_every_key_of_the_presets_differs_somewhere(repo: Path) -> None:
    """What is the same everywhere belongs into params.yaml alone."""
    all_values = [values_of(repo, name) for name in PRESETS]
    same = [key for key in all_values[0] if all(values[key] == all_values[0][key] for values in all_values)]
    # These are null in each, but given on the command line; another preset must not leave them behind.
    assert same == ["download.folder", "download.annotations"]


def test_the_sample_preset_is_what_is_committed(project: Path) -> None:
    committed = (project / "params.yaml").read_bytes()
    shared = values_of(project, "sample")
    assert {
        key: value for key, value in flatten(read_yaml(project / "params.yaml")).items() if key in shared
    } == shared
    apply("sample")
    assert (project / "params.yaml").read_bytes() == committed


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "sample"])
def test_going_there_and_back_restores_every_byte(project: Path, name: str) -> None:
    committed = (project / "params.yaml").read_bytes()
    apply(name)
    assert (project / "params.yaml").read_bytes() != committed
    apply("sample")
    assert (project / "params.yaml").read_bytes() == committed


def test_kaggle_dgx_is_the_original_training(project: Path) -> None:
    """The user's own settings of 2019, and Matterport's defaults where they exist."""
    params = apply("kaggle-dgx")
    model, sampling, inference, train = params.model, params.sampling, params.inference, params.train
    assert (model.backbone.name, model.backbone.width) == ("resnet101", 64)
    assert (model.pretrained, model.image_size) == ("coco", 512)
    assert (train.num_devices, train.images_per_device) == (4, 6)
    assert (train.heads.epochs, train.heads.learning_rate) == (10, 2e-4)
    assert (train.finetune.epochs, train.finetune.learning_rate) == (15, 2e-5)
    assert (train.optimizer, train.momentum, train.weight_decay) == ("sgd", 0.9, 1e-4)
    assert (train.gradient_clip_norm, model.batch_norm.backbone, train.deterministic) == (5.0, False, False)
    assert params.split.validation_fraction == 0.2
    assert params.augment.flip_probability == 0.5
    assert model.anchors.sizes == (32, 64, 128, 256, 512)
    assert (model.fpn.channels, model.box_head.channels) == (256, 1024)
    assert (model.rpn.pre_nms_top_k, sampling.post_nms_top_k, inference.post_nms_top_k) == (6000, 2000, 1000)
    assert (sampling.rois_per_image, sampling.positive_fraction, sampling.max_gt_instances) == (
        200,
        0.33,
        100,
    )
