"""ImageNet weights into a backbone."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from fashionseg.errors import UserError
from fashionseg.model.layers import weight_layers
from fashionseg.storage.backbone_weights import read_backbone_weights


def load_backbone_weights(network: keras.Model, path: Path) -> str:
    """Loads a file of stage `pretrained`, all of it or nothing; returns one line on what was loaded.

    A bias that the file does not have is set to zero.

    Args:
        network: of a `Backbone`.

    Raises:
        UserError: not the weights of this backbone.
    """
    name, stored = read_backbone_weights(path)
    layers = weight_layers(network)
    if set(stored) != set(layers):
        raise UserError(
            f"{path}: expected the layers of model.backbone.name, got those of {name}; run the stage pretrained"
        )
    assignments: list[tuple[keras.Variable, np.ndarray]] = []
    for layer, arrays in stored.items():
        if unknown := arrays.keys() - {variable.name for variable in layers[layer].variables}:
            raise UserError(f"{path}: {layer}: unknown array {min(unknown)!a}")
        for variable in layers[layer].variables:
            array = arrays.get(variable.name, np.zeros(variable.shape, np.float32))
            if variable.name not in arrays and variable.name != "bias":
                raise UserError(f"{path}: {layer}: no array {variable.name}")
            if tuple(variable.shape) != array.shape:
                hint = "; a ResNet needs model.backbone.width 64" if name.startswith("resnet") else ""
                raise UserError(
                    f"{path}: {layer}/{variable.name}: expected the shape {tuple(variable.shape)}, "
                    f"got {array.shape}{hint}"
                )
            if not np.isfinite(array).all():
                raise UserError(f"{path}: {layer}/{variable.name}: values that are not finite")
            assignments.append((variable, array))
    for variable, array in assignments:
        variable.assign(array)
    count = sum(array.size for _, array in assignments)
    return f"backbone {name}, {len(stored)} layers loaded ({count:,} numbers); pyramid and heads left at initial values"
