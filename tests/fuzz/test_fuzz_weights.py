"""Weight files: all is loaded as h5py alone reads it, or nothing is, and one line says why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import h5py
import numpy as np
from hypothesis import strategies as st
from tests.fuzz.harness import fuzz, mutations, scratch_folder

from fashionseg.errors import UserError
from fashionseg.model.matterport_layout import NamePair, layer_names, name_pairs
from fashionseg.model.weights import load_matterport, read_groups
from fashionseg.storage.hdf5 import open_checked

if TYPE_CHECKING:
    from fashionseg.model.mask_rcnn import MaskRCNN

BACKBONE = "resnet14"
PATH = scratch_folder() / "weights.h5"
PAIRS = name_pairs(BACKBONE)


class Variable:
    """A weight that only remembers what it was given."""

    shape = (2, 3)

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def assign(self, value: np.ndarray) -> None:
        self.value = value


class Network:
    """As much of the network as the loader sees: parts of layers of variables."""

    backbone: Any

    def __init__(self) -> None:
        self.variables = {pair: Variable() for pair in PAIRS}
        for part in {pair.part for pair in PAIRS}:
            setattr(self, part, SimpleNamespace(layers=list(self._layers_of(part).values()), name=part))
        # The loader tells the backbone from the ends of its blocks.
        self.backbone.layers.append(SimpleNamespace(name="res4a_out"))

    def _layers_of(self, part: str) -> dict[str, Any]:
        layers: dict[str, Any] = {}
        for pair, variable in self.variables.items():
            if pair.part == part:
                setattr(
                    layers.setdefault(pair.layer, SimpleNamespace(name=pair.layer)), pair.variable, variable
                )
        return layers


def write_valid(pairs: list[NamePair], names: list[str], libver: str) -> bytes:
    with h5py.File(PATH, "w", libver=libver) as file:
        file.attrs["layer_names"] = np.array(names, "S")
        weights: dict[str, list[str]] = {name: [] for name in names}
        for name in names:
            file.create_group(name)
        for number, pair in enumerate(pairs):
            file[pair.group].create_dataset(pair.name, data=np.full(Variable.shape, number, np.float32))
            weights[pair.group].append(pair.name)
        for group, of_group in weights.items():
            file[group].attrs["weight_names"] = np.array(of_group, "S")
    return PATH.read_bytes()


SMALL = [
    write_valid(PAIRS[:3], [PAIRS[0].group, PAIRS[2].group], libver) for libver in ("earliest", "latest")
]
WHOLE = write_valid(PAIRS, layer_names(BACKBONE), "earliest")


@fuzz(0.06, data=st.one_of(mutations(*SMALL), st.binary(max_size=50)))
def test_weight_groups(data: bytes) -> str:
    PATH.write_bytes(data)
    try:
        groups = read_groups(PATH)
    except UserError as error:
        assert str(error).startswith(f"{PATH}: ")
        assert str(error).isprintable()
        return "refused"
    for weights in groups.values():
        assert all(array.dtype.kind == "f" and array.ndim for array in weights.values())
    with open_checked(PATH):
        return "valid"


@fuzz(0.005, short=50, data=mutations(WHOLE, most=3))
def test_weights_of_a_network(data: bytes) -> str:
    PATH.write_bytes(data)
    network = Network()
    try:
        report = load_matterport(cast("MaskRCNN", network), PATH)
    except UserError as error:
        assert str(error).isprintable()
        assert all(variable.value is None for variable in network.variables.values())
        return "refused"
    assert report.num_arrays == len(PAIRS)
    with h5py.File(PATH) as file:
        for pair, variable in network.variables.items():
            assert variable.value is not None
            assert variable.value.dtype == np.float32
            assert np.isfinite(variable.value).all()
            # By position: a byte may have changed in a name, but not its end, which says what the array is.
            place = [p for p in PAIRS if p.group == pair.group].index(pair)
            name = file[pair.group].attrs["weight_names"][place]
            np.testing.assert_array_equal(variable.value, file[pair.group][name][()])
    return "valid"
