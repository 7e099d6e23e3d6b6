"""Weight files in Matterport's layout, in and out.

Reading is all or nothing: every array of the file is accounted for (names, shapes, finite values) before the first
one is assigned, and the report says what was loaded, skipped and left at its initial value.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from fashionseg.errors import UserError
from fashionseg.model.backbones.resnet import BLOCKS_PER_STAGE
from fashionseg.model.layers import find_layer
from fashionseg.model.matterport_layout import (
    BOX_LAYER,
    CLASS_LAYERS,
    MASK_LAYER,
    NamePair,
    layer_names,
    name_pairs,
)
from fashionseg.storage.atomic import atomic_write
from fashionseg.storage.disk import require_room
from fashionseg.storage.hdf5 import open_checked

# A TF 2 port of Matterport's code saves its anchors as a weight; they are computed here.
COMPUTED_GROUPS = ("anchors",)

# Which parameter decides the shape of a layer, for the message when a file does not fit.
SHAPE_KEYS = {
    "conv1": "model.backbone.width",
    "fpn_": "model.fpn.channels",
    "rpn_conv_shared": "model.rpn.channels",
    "rpn_": "model.anchors.aspect_ratios",
    "mrcnn_class_conv": "model.box_head.channels and model.box_head.pool_size",
    "mrcnn_mask_": "model.mask_head.channels",
}


@dataclass(frozen=True)
class LoadReport:
    """What happened to each layer, in the order of the file.

    Attributes:
        loaded: layers that got the file's weights.
        skipped: layers with weights in the file that were not loaded.
        initial: layers of the network left at their initial values.
        num_arrays, num_values: loaded arrays, and numbers in them.
    """

    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    initial: tuple[str, ...]
    num_arrays: int
    num_values: int

    def describe(self) -> str:
        """One line."""
        parts = [f"{len(self.loaded)} layers loaded ({self.num_arrays} arrays, {self.num_values:,} numbers)"]
        if self.skipped:
            parts.append(f"skipped in the file: {', '.join(self.skipped)}")
        if self.initial:
            parts.append(f"left at initial values: {', '.join(self.initial)}")
        return "; ".join(parts)


def load_matterport(network: keras.Model, path: Path, exclude: Collection[str] = ()) -> LoadReport:
    """Loads a file that Matterport's code, a TF 2 port of it or `save_matterport` wrote.

    Args:
        network: changed in place, only when the whole file fits.
        path: an `.h5` file; a whole-model file (weights under `model_weights`) will do.
        exclude: Matterport's names of layers to leave at their initial values, `CLASS_LAYERS` for another number
            of categories.

    Raises:
        UserError: not such a file, damaged, or of another backbone, size or number of categories.
    """
    backbone = backbone_of(network)
    unknown = set(exclude) - set(layer_names(backbone))
    if unknown:
        raise UserError(f"exclude: no layer is named {', '.join(sorted(unknown))}")
    stored = read_groups(path)
    wanted: dict[str, list[NamePair]] = {}
    for pair in name_pairs(backbone):
        wanted.setdefault(pair.group, []).append(pair)
    _check_groups(path, backbone, wanted, stored, exclude)
    loaded = [group for group in wanted if group not in exclude]
    arrays = [array for group in loaded for array in _fit(path, network, wanted[group], stored[group])]
    for variable, array in arrays:
        variable.assign(array)
    return LoadReport(
        tuple(loaded),
        skipped=tuple(group for group in stored if group not in loaded),
        initial=tuple(group for group in wanted if group not in loaded),
        num_arrays=len(arrays),
        num_values=sum(array.size for _, array in arrays),
    )


def save_matterport(network: keras.Model, path: Path) -> None:
    """Writes what Matterport's code would save; the same weights give the same bytes.

    Raises:
        UserError: the network has weights of other shapes than Matterport's code builds.
    """
    if network.mask_head.class_agnostic:
        raise UserError(
            f"{path}: Matterport's layout has a mask per class, got a network with one mask for all classes "
            "(model.mask_head.class_agnostic: true); only a network trained with false can be exported"
        )
    if network.box_head.class_agnostic or network.mask_iou_head is not None or network.takes_pose:
        raise UserError(
            f"{path}: Matterport's layout has one box head with a box per class, no mask-IoU head and no body parts, "
            "got a network with others (model.architecture, model.mask_iou_head.channels, model.body_parts)"
        )
    backbone = backbone_of(network)
    names = layer_names(backbone)
    weights: dict[str, list[str]] = {name: [] for name in names}
    with contextlib.ExitStack() as opened:
        temporary = opened.enter_context(atomic_write(path))
        require_room(path.parent, network.variables)
        file = opened.enter_context(h5py.File(temporary, "w", track_order=False))
        file.attrs["layer_names"] = np.array(names, "S")
        file.attrs["backend"] = np.bytes_(b"tensorflow")
        file.attrs["keras_version"] = np.bytes_(b"2.0.8")  # the version that this layout comes from
        for name in names:
            file.create_group(name)
        for pair in name_pairs(backbone):
            value = keras.ops.convert_to_numpy(variable_of(network, pair)).astype(np.float32)
            file[pair.group].create_dataset(pair.name, data=value, track_times=False)
            weights[pair.group].append(pair.name)
        for group, weight_names in weights.items():
            file[group].attrs["weight_names"] = np.array(weight_names, "S")


def load_matterport_for_categories(network: keras.Model, path: Path) -> LoadReport:
    """`load_matterport` without the class layers that do not fit.

    All of them when the number of categories differs, the last layer of the masks or of the boxes when the network has
    one for all classes: the layout has one per class.
    """
    if num_classes_in(path) != find_layer(network.box_head, "mrcnn_class_logits").units:
        exclude: tuple[str, ...] = CLASS_LAYERS
    else:
        exclude = (MASK_LAYER,) if network.mask_head.class_agnostic else ()
        exclude += (BOX_LAYER,) if network.box_head.class_agnostic else ()
    return load_matterport(network, path, exclude)


def num_classes_in(path: Path) -> int | None:
    """K of a weight file, None when it has no class layer."""
    group = read_groups(path).get("mrcnn_class_logits")
    return None if not group else int(next(iter(group.values())).shape[-1])


def backbone_of(network: keras.Model) -> str:
    """A key of `BLOCKS_PER_STAGE`.

    Raises:
        UserError: not a ResNet, and the layout has no other backbone.
    """
    names = {layer.name for layer in network.backbone.layers}
    stage4 = sum(f"res4{chr(ord('a') + block)}_out" in names for block in range(26))
    for name, blocks in BLOCKS_PER_STAGE.items():
        if blocks[2] == stage4:
            return name
    raise UserError(
        f"model.backbone.name: Matterport's layout has {', '.join(BLOCKS_PER_STAGE)} only, got another backbone"
    )


def variable_of(network: keras.Model, pair: NamePair) -> keras.Variable:
    """The network's variable behind a name pair."""
    return getattr(find_layer(getattr(network, pair.part), pair.layer), pair.variable)


def read_groups(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Group -> weight name -> array, in the order of the file, without weightless groups.

    Raises:
        UserError: not an HDF5 file, truncated, or not of this layout.
    """
    with open_checked(path) as file:
        root = file if "layer_names" in file.attrs else file.get("model_weights", file)
        if "layer_names" not in root.attrs:
            raise UserError(
                f"{path}: no weights in Matterport's layout: expected the attribute layer_names, "
                f"found the groups {', '.join(ascii(name)[1:-1] for name in list(file)[:5]) or 'none'}"
            )
        groups = {name: _read_group(path, root, name) for name in _texts(root.attrs["layer_names"])}
    return {name: weights for name, weights in groups.items() if weights}


def _read_group(path: Path, root: h5py.Group, name: str) -> dict[str, np.ndarray]:
    group = root[name]
    weights = {}
    for weight in _texts(group.attrs["weight_names"]):
        dataset = group[weight]
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind != "f" or dataset.ndim == 0:
            raise UserError(f"{path}: {name}/{weight}: expected an array of floating-point numbers")
        weights[weight] = dataset[()]
    return weights


def _texts(values: Any) -> list[str]:
    """Names as Keras 2.0.8 (bytes) or later ones (text) write them."""
    texts = [value.decode() if isinstance(value, bytes) else str(value) for value in np.atleast_1d(values)]
    if len(set(texts)) != len(texts) or not all(text.isprintable() for text in texts):
        raise ValueError("a list of names that names one twice, or is damaged")
    return texts


def _check_groups(
    path: Path,
    backbone: str,
    wanted: dict[str, list[NamePair]],
    stored: dict[str, dict[str, np.ndarray]],
    exclude: Collection[str],
) -> None:
    """Each layer with weights is in the file, and each layer of the file in the network."""
    unknown = [name for name in stored if name not in wanted and name not in (*COMPUTED_GROUPS, *exclude)]
    missing = [name for name in wanted if name not in stored and name not in exclude]
    for other in BLOCKS_PER_STAGE:
        in_other = {pair.group for pair in name_pairs(other)}
        if other != backbone and set(stored) - set(COMPUTED_GROUPS) == in_other:
            raise UserError(
                f"{path}: expected weights of {backbone} (model.backbone.name), got weights of {other}"
            )
    if unknown:
        raise UserError(f"{path}: {len(unknown)} layers unknown to the model: {_some(unknown)}")
    if missing:
        raise UserError(f"{path}: {len(missing)} layers of the model are not in the file: {_some(missing)}")


def _fit(
    path: Path, network: keras.Model, pairs: list[NamePair], stored: dict[str, np.ndarray]
) -> list[tuple[keras.Variable, np.ndarray]]:
    """Variables of one group with their new values; by position, as in Keras, with the names checked."""
    group = pairs[0].group
    kinds = [name.rsplit("/", 1)[-1].split(":")[0] for name in stored]
    if kinds != [pair.variable for pair in pairs]:
        expected = ", ".join(pair.name for pair in pairs)
        raise UserError(f"{path}: {group}: expected the arrays {expected}, got {', '.join(stored)}")
    fitted = []
    for pair, array in zip(pairs, stored.values(), strict=True):
        variable = variable_of(network, pair)
        if tuple(variable.shape) != array.shape:
            raise UserError(
                f"{path}: {pair.group}/{pair.name}: expected the shape {tuple(variable.shape)}, got {array.shape}"
                f"{_shape_hint(pair, array)}"
            )
        with np.errstate(over="ignore"):  # float64 beyond float32 is infinite as well
            values = array.astype(np.float32)
        if not np.isfinite(values).all():
            raise UserError(f"{path}: {pair.group}/{pair.name}: values that are not finite")
        fitted.append((variable, values))
    return fitted


def _shape_hint(pair: NamePair, array: np.ndarray) -> str:
    if pair.group in CLASS_LAYERS:
        return f"; weights for another number of categories fit without {', '.join(CLASS_LAYERS)}"
    key = next((key for prefix, key in SHAPE_KEYS.items() if pair.layer.startswith(prefix)), None)
    return f"; see {key} in params.yaml" if key else ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
