"""ImageNet weights into a backbone: all of them or none, and one line on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.model.backbones import build_backbone
from fashionseg.model.backbones.load import load_backbone_weights
from fashionseg.model.folder import load_network, save_network
from fashionseg.model.layers import BatchNorm, weight_layers
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.model.pretrained import load_pretrained
from fashionseg.model.weights import load_matterport, save_matterport
from fashionseg.params import Params
from fashionseg.storage.backbone_weights import LayerWeights, write_backbone_weights

LITE0 = {"model.backbone.name": "efficientnet_lite0"}


def random_weights(network: MaskRCNN) -> LayerWeights:
    """Other values for every weight of the backbone."""
    rng = np.random.default_rng(1)
    return {
        name: {v.name: rng.uniform(0.5, 1.5, v.shape).astype(np.float32) for v in layer.variables}
        for name, layer in weight_layers(network.backbone).items()
    }


def values(network: MaskRCNN) -> dict[str, np.ndarray]:
    return {variable.path: np.array(variable) for variable in network.backbone.variables}


@pytest.fixture(scope="module")
def network(make_network: Callable[..., MaskRCNN]) -> MaskRCNN:
    """On ResNet-14, width 4."""
    return make_network()


@pytest.fixture
def path(network: MaskRCNN, tmp_path: Path) -> Path:
    """Weights for `network`, to change at will."""
    write_backbone_weights(tmp_path / "weights.h5", "resnet14", random_weights(network))
    return tmp_path / "weights.h5"


def test_every_weight_of_the_backbone_is_loaded_and_no_other(network: MaskRCNN, path: Path) -> None:
    fpn = [np.array(variable) for variable in network.fpn.variables]
    said = network.load_pretrained(path)
    for name, arrays in random_weights(network).items():
        for variable in weight_layers(network.backbone)[name].variables:
            np.testing.assert_array_equal(np.array(variable), arrays[variable.name])
    for variable, before in zip(network.fpn.variables, fpn, strict=True):
        np.testing.assert_array_equal(np.array(variable), before)
    # The stem, four blocks of three convolutions and a shortcut, each with its batch norm.
    count = sum(array.size for array in values(network).values())
    assert said == (
        f"backbone resnet14, 34 layers loaded ({count:,} numbers); pyramid and heads left at initial values"
    )


def test_a_bias_that_the_file_does_not_have_becomes_zero(network: MaskRCNN, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["conv1/bias"]
    load_backbone_weights(network.backbone, path)
    np.testing.assert_array_equal(np.array(weight_layers(network.backbone)["conv1"].bias), 0)


def remove(file: h5py.File) -> None:
    del file["conv1/kernel"]


def add(file: h5py.File) -> None:
    file["conv1/extra\n"] = [1.0]


def widen(file: h5py.File) -> None:
    del file["conv1/kernel"]
    file["conv1/kernel"] = np.ones((7, 7, 3, 64), np.float32)


def spoil(file: h5py.File) -> None:
    file["bn_conv1/gamma"][0] = np.nan


def overflow(file: h5py.File) -> None:
    del file["bn_conv1/gamma"]
    file["bn_conv1/gamma"] = np.full(4, 1e300)


def rename(file: h5py.File) -> None:
    file.move("conv1", "conv2")
    file.attrs["backbone"] = "efficientnet_lite2"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove, "weights.h5: conv1: no array kernel"),
        (add, "weights.h5: conv1: unknown array 'extra\\n'"),
        (
            widen,
            "weights.h5: conv1/kernel: expected the shape (7, 7, 3, 4), got (7, 7, 3, 64); "
            "a ResNet needs model.backbone.width 64",
        ),
        (spoil, "weights.h5: bn_conv1/gamma: values that are not finite"),
        (overflow, "weights.h5: bn_conv1/gamma: values that are not finite"),
        (
            rename,
            "weights.h5: expected the layers of model.backbone.name, got those of efficientnet_lite2; "
            "run the stage pretrained",
        ),
    ],
)
@pytest.mark.fault(
    table="stored-files",
    case="ImageNet weights of another backbone or width, incomplete, or with NaN",
    outcome="refused in one line, nothing of them is loaded",
)
def test_weights_that_do_not_fit_are_refused_as_a_whole(
    network: MaskRCNN, path: Path, damage: Callable[[h5py.File], None], message: str
) -> None:
    before = values(network)
    with h5py.File(path, "r+") as file:
        for dataset in ("res2a_branch2a/kernel", "bn5a_branch1/beta"):
            file[dataset][...] = 7.0  # what must not be loaded
        damage(file)
    with pytest.raises(UserError) as error:
        network.load_pretrained(path)
    assert str(error.value) == f"{path.parent}/{message}"
    assert str(error.value).isprintable()
    for name, array in values(network).items():
        np.testing.assert_array_equal(array, before[name])


def test_weights_of_lite0_do_not_fit_lite2(network: MaskRCNN, tmp_path: Path) -> None:
    batch_norm = BatchNorm(False, 0.9)
    lite0, lite2 = (build_backbone(f"efficientnet_lite{n}", 64, 64, batch_norm).network for n in (0, 2))
    path = tmp_path / "weights.h5"
    stored = {
        name: {variable.name: np.array(variable) for variable in layer.variables}
        for name, layer in weight_layers(lite0).items()
    }
    write_backbone_weights(path, "efficientnet_lite0", stored)
    assert load_backbone_weights(lite0, path).startswith("backbone efficientnet_lite0, 96 layers loaded")
    with pytest.raises(UserError, match="got those of efficientnet_lite0"):
        load_backbone_weights(lite2, path)


def test_the_folder_of_the_stage_is_loaded_with_one_line(
    network: MaskRCNN, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path.parent / "source.json").write_text(json.dumps({"source": "imagenet"}))
    load_pretrained(network, path.parent)
    assert capsys.readouterr().out.startswith("weights of imagenet: backbone resnet14, 34 layers loaded (")


@pytest.mark.slow
def test_a_model_folder_keeps_an_efficientnet(
    make_network: Callable[..., MaskRCNN], small_params: Callable[..., Params], tmp_path: Path
) -> None:
    params, network = small_params(LITE0), make_network(LITE0)
    categories = tuple("abcde")
    save_network(network, params.model, categories, tmp_path / "model")
    loaded, *_ = load_network(tmp_path / "model", params.inference)
    for ours, theirs in zip(network.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(np.array(ours), np.array(theirs))


@pytest.mark.slow
def test_matterports_layout_has_no_efficientnet(
    make_network: Callable[..., MaskRCNN], tmp_path: Path
) -> None:
    network = make_network(LITE0)
    message = (
        "model.backbone.name: Matterport's layout has resnet14, resnet26, resnet50, resnet101 only, "
        "got another backbone"
    )
    for use in (save_matterport, load_matterport):
        with pytest.raises(UserError) as error:
            use(network, tmp_path / "weights.h5")
        assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []
