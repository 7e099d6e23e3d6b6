"""The weight file between stage `pretrained` and the training."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.storage.backbone_weights import (
    has_backbone_weights,
    read_backbone_weights,
    write_backbone_weights,
)

WEIGHTS = {"stem_conv": {"kernel": np.ones((3, 3, 3, 2), np.float32)}, "stem_bn": {"gamma": np.arange(2.0)}}


def test_reading_is_the_inverse_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    write_backbone_weights(path, "efficientnet_lite0", WEIGHTS)
    assert has_backbone_weights(path)
    name, weights = read_backbone_weights(path)
    assert name == "efficientnet_lite0"
    assert set(weights) == set(WEIGHTS)
    for layer, arrays in WEIGHTS.items():
        for variable, array in arrays.items():
            assert weights[layer][variable].dtype == np.float32
            np.testing.assert_array_equal(weights[layer][variable], array)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        write_backbone_weights(tmp_path / name, "resnet50", WEIGHTS)
    write_backbone_weights(tmp_path / "other.h5", "resnet101", WEIGHTS)
    first = (tmp_path / "a.h5").read_bytes()
    assert (tmp_path / "b.h5").read_bytes() == first
    assert (tmp_path / "other.h5").read_bytes() != first


def test_a_file_in_matterports_layout_has_none(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.attrs["layer_names"] = np.array(["conv1"], "S")
    assert not has_backbone_weights(tmp_path / "weights.h5")


@pytest.mark.parametrize(
    "damage", ["array for a layer", "layer for an array", "number as the name", "newline"]
)
def test_a_damaged_file_is_one_line(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "weights.h5"
    write_backbone_weights(path, "resnet50", WEIGHTS)
    with h5py.File(path, "r+") as file:
        match damage:
            case "array for a layer":
                file["another"] = [1.0]
            case "layer for an array":
                file["stem_conv"].create_group("bias")
            case "number as the name":
                file.attrs["backbone"] = 5
            case "newline":
                file.attrs["backbone"] = "res\nnet"
    with pytest.raises(UserError, match=r"weights.h5: not a whole HDF5 file") as error:
        read_backbone_weights(path)
    assert str(error.value).isprintable()
