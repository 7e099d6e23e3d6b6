"""ImageNet weights of a backbone between stage `pretrained` and the training: HDF5, datasets `layer/variable`.

Layer and variable names are those of our network; the root attribute `backbone` names it.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from fashionseg.storage.atomic import atomic_write
from fashionseg.storage.hdf5 import open_checked

_BACKBONE = "backbone"
LayerWeights = dict[str, dict[str, np.ndarray]]  # layer -> variable -> array


def write_backbone_weights(path: Path, backbone: str, weights: LayerWeights) -> None:
    """The same weights give the same bytes."""
    with atomic_write(path) as temporary, h5py.File(temporary, "w", track_order=False) as file:
        file.attrs[_BACKBONE] = backbone
        for layer, variables in weights.items():
            for variable, array in variables.items():
                file.create_dataset(f"{layer}/{variable}", data=array.astype(np.float32), track_times=False)


def has_backbone_weights(path: Path) -> bool:
    """Whether a checked HDF5 file has this layout."""
    with open_checked(path) as file:
        return _BACKBONE in file.attrs


def read_backbone_weights(path: Path) -> tuple[str, LayerWeights]:
    """Name of the backbone and its weights.

    Raises:
        UserError: missing, damaged, or not of this layout.
    """
    with open_checked(path) as file, np.errstate(over="ignore"):  # beyond float32 is infinite
        weights = {
            layer: {variable: dataset[()].astype(np.float32) for variable, dataset in group.items()}
            for layer, group in file.items()
        }
        name = file.attrs[_BACKBONE]
        if not isinstance(name, str) or not name.isprintable():
            raise ValueError(f"expected the name of a backbone, got {name!a}")
        return name, weights
