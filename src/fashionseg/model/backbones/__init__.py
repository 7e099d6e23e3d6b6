"""Backbones by name: images to the feature maps C2 to C5."""

from __future__ import annotations

from fashionseg.model.backbones import efficientnet_lite, resnet
from fashionseg.model.backbones.backbone import Backbone
from fashionseg.model.layers import BatchNorm

__all__ = ["Backbone", "build_backbone"]


def build_backbone(name: str, image_size: int, width: int, batch_norm: BatchNorm) -> Backbone:
    """The backbone that `model.backbone.name` names, at its initial weights.

    Args:
        image_size: S, side of the square input in pixels, a multiple of 32.
        width: channels of a ResNet's stem; the other families have fixed widths.
        batch_norm: makes the normalised convolutions.
    """
    if name in efficientnet_lite.VARIANTS:
        return efficientnet_lite.build(name, image_size, batch_norm)
    return resnet.build(name, image_size, width, batch_norm)
