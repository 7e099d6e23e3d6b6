"""Model folders: `model.weights.h5`, and `model.json` with what rebuilds the network for these weights.

`model.json` has a schema version, and each older version an upgrade to the next, so that folders load for ever; one
small folder of each version is kept in tests/model/folders. Version 1 was the flat `model` section of params.yaml.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import keras

from fashionseg.errors import UserError
from fashionseg.model.api import Network
from fashionseg.model.networks import build_network
from fashionseg.params import Inference, Model, Sampling, changed, parse_section, to_dict
from fashionseg.storage.atomic import atomic_write
from fashionseg.storage.disk import require_room
from fashionseg.storage.hdf5 import open_checked

WEIGHTS_FILE = "model.weights.h5"
DESCRIPTION_FILE = "model.json"
SCHEMA = 4


class LoadedNetwork(NamedTuple):
    """A network from its folder, with the `model` section and the category names that it was saved with."""

    network: Network
    model: Model
    category_names: tuple[str, ...]


def save_network(network: Network, model: Model, category_names: tuple[str, ...], folder: Path) -> None:
    """Writes weights (byte-stable) and description into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / WEIGHTS_FILE) as temporary:
        require_room(folder, network.variables)
        named = temporary.with_name(f"{temporary.name}.weights.h5")  # Keras insists on the suffix
        try:
            network.save_weights(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
    architecture = to_dict(model)
    del architecture["pretrained"]  # where the initial weights came from rebuilds nothing
    description = {"schema": SCHEMA, "model": architecture, "categories": list(category_names)}
    with atomic_write(folder / DESCRIPTION_FILE) as temporary:
        temporary.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def load_network(
    folder: Path,
    inference: Inference,
    sampling: Sampling | None = None,
    category_groups: Sequence[str] | None = None,
    image_size: int | None = None,
) -> LoadedNetwork:
    """The network of a folder that `save_network`, of this or an earlier release, wrote.

    Args:
        folder: not changed.
        inference: what predictions keep; independent of the training.
        sampling: for its losses; None for inference alone.
        category_groups: see `build_network`.
        image_size: of the input, instead of the one that it was trained with; no weight depends on it.

    Raises:
        UserError: a file is missing, damaged, of a newer release, or does not fit the other.
    """
    schema, model, category_names = _read(folder / DESCRIPTION_FILE)
    if image_size is not None:
        model = changed(model, {"image_size": image_size})
    network = build_network(model, len(category_names), inference, sampling, category_groups)
    load_weights(network, folder / WEIGHTS_FILE, schema)
    return LoadedNetwork(network, model, category_names)


def read_description(folder: Path) -> tuple[Model, tuple[str, ...]]:
    """The `model` section and the category names of a model folder; errors as `load_network`."""
    return _read(folder / DESCRIPTION_FILE)[1:]


def _read(path: Path) -> tuple[int, Model, tuple[str, ...]]:
    """Schema version, `model` section and category names."""
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        schema = description.get("schema", 1)
        if schema not in range(1, SCHEMA + 1):
            raise UserError(f"{path}: expected schema 1 to {SCHEMA}, got {schema!r}; update fashionseg")
        values = description["model"]
        model = parse_section(Model, upgraded(values, schema), path, "model")
        return schema, model, tuple(str(name) for name in description["categories"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a folder written by a training stage") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not a model description: {error!r}") from None


def load_trained(network: keras.Model, folder: Path) -> None:
    """Loads the weights of a model folder of this or an earlier release into a network that they fit exactly.

    Raises:
        UserError: as `load_network`.
    """
    load_weights(network, folder / WEIGHTS_FILE, _read(folder / DESCRIPTION_FILE)[0])


def load_weights(network: keras.Model, path: Path, schema: int = SCHEMA) -> None:
    """Reads a `model.weights.h5` that fits the network exactly.

    Raises:
        UserError: missing, damaged, or weights of another network.
    """
    with (
        open_checked(path) as file,
        tempfile.TemporaryDirectory() as folder,
    ):  # checked before Keras allocates
        if schema == 1:
            path_to_load = Path(folder) / WEIGHTS_FILE
            _copy_from_version_1(file, path_to_load)
        else:
            path_to_load = path
        reason = _load(network, path_to_load)
    if reason:
        raise UserError(f"{path}: weights that do not fit the model: {reason}")


def _load(network: keras.Model, path: Path) -> str:
    """Why the weights do not fit; empty where they are loaded."""
    try:
        # Keras warns of parts that it leaves at their initial values: a partial load is an error here.
        with warnings.catch_warnings(record=True, action="always") as skipped:
            network.load_weights(path)
        reason = str(skipped[0].message) if skipped else ""
    except Exception as error:  # h5py and Keras raise nearly any exception on foreign files
        reason = str(error).strip() or type(error).__name__
    return reason.strip().splitlines()[0] if reason else ""


# Version 1 -> 2: flat names, most of them Matterport's. What is not here decided training or inference only.
_NAMES_OF_VERSION_1 = {
    "image_max_dim": "image_size",
    "mean_pixel": "pixel_mean",
    "backbone": "backbone.name",
    "backbone_width": "backbone.width",
    "train_bn": "batch_norm.trained",
    "bn_momentum": "batch_norm.momentum",
    "top_down_pyramid_size": "fpn.channels",
    "rpn_anchor_scales": "anchors.sizes",
    "rpn_anchor_ratios": "anchors.aspect_ratios",
    "rpn_anchor_stride": "anchors.stride",
    "rpn_channels": "rpn.channels",
    "rpn_bbox_std_dev": "rpn.box_std",
    "rpn_nms_threshold": "rpn.nms_threshold",
    "pre_nms_limit": "rpn.pre_nms_top_k",
    "fpn_classif_fc_layers_size": "box_head.channels",
    "pool_size": "box_head.pool_size",
    "bbox_std_dev": "box_head.box_std",
    "mask_channels": "mask_head.channels",
    "mask_pool_size": "mask_head.pool_size",
}


def upgraded(values: dict[str, Any], schema: int) -> dict[str, Any]:
    """The `model` section of params.yaml from that of a folder of a schema version."""
    for version in range(schema, SCHEMA):
        values = _UPGRADES[version](values)
    return {"pretrained": "none", **values}


def _model_from_version_1(values: dict[str, Any]) -> dict[str, Any]:
    """The `model` section of version 1, of which Matterport's configuration is a subset, without `pretrained`."""
    nested: dict[str, Any] = {"architecture": "mask_rcnn"}
    for old, new in _NAMES_OF_VERSION_1.items():
        *sections, last = new.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = values[old]
    return nested


# In version 1 the heads were plain functional models, which Keras numbers.
_GROUPS_OF_VERSION_1 = {"functional_2": "rpn_head", "functional_3": "box_head", "functional_4": "mask_head"}


def _copy_from_version_1(file: h5py.File, path: Path) -> None:
    """The weights with the group names of today."""
    with h5py.File(path, "w") as copy:
        for name, group in file.items():
            file.copy(group, copy, name)
        for old, new in _GROUPS_OF_VERSION_1.items():
            if f"layers/{old}" in copy:
                copy.move(f"layers/{old}", f"layers/{new}")


def _model_from_version_2(values: dict[str, Any]) -> dict[str, Any]:
    """Backbone and heads have batch norm of their own; masks may be the same for all classes."""
    norm = values["batch_norm"]
    return {
        **values,
        "batch_norm": {"backbone": norm["trained"], "heads": norm["trained"], "momentum": norm["momentum"]},
        "mask_head": {**values["mask_head"], "class_agnostic": False},
    }


def _model_from_version_3(values: dict[str, Any]) -> dict[str, Any]:
    """Box heads in a row, the mask-IoU head and body parts have keys; none existed."""
    return {
        **values,
        "cascade": {"box_stds": [[0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067]]},
        "mask_iou_head": {"channels": 0},
        "body_parts": "none",
    }


_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {
    1: _model_from_version_1,
    2: _model_from_version_2,
    3: _model_from_version_3,
}
