"""Names in Matterport's weight files and the layers of our network that they belong to.

A file has one group a layer of Matterport's training graph, in its order and weightless layers included; a weight is
the dataset `group / weight name`, for example `conv1/conv1/kernel:0` or `rpn_model/rpn_conv_shared/kernel:0`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fashionseg.model.backbones.resnet import BLOCKS_PER_STAGE, FIRST_STAGE

CONV = ("kernel", "bias")
NORM = ("gamma", "beta", "moving_mean", "moving_variance")

# Layers with shapes that depend on the number of categories.
BOX_LAYER, MASK_LAYER = "mrcnn_bbox_fc", "mrcnn_mask"
CLASS_LAYERS = ("mrcnn_class_logits", BOX_LAYER, MASK_LAYER)

# Group of the file -> part of our network, layers in it (in the order of the file), arrays of each layer.
FPN_AND_HEADS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "fpn_c5p5": ("fpn", ("fpn_c5p5",), CONV),
    "fpn_c4p4": ("fpn", ("fpn_c4p4",), CONV),
    "fpn_c3p3": ("fpn", ("fpn_c3p3",), CONV),
    "fpn_c2p2": ("fpn", ("fpn_c2p2",), CONV),
    "fpn_p5": ("fpn", ("fpn_p5",), CONV),
    "fpn_p4": ("fpn", ("fpn_p4",), CONV),
    "fpn_p3": ("fpn", ("fpn_p3",), CONV),
    "fpn_p2": ("fpn", ("fpn_p2",), CONV),
    "rpn_model": ("rpn_head", ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"), CONV),
    "mrcnn_class_conv1": ("box_head", ("mrcnn_class_conv1",), CONV),
    "mrcnn_class_bn1": ("box_head", ("mrcnn_class_bn1",), NORM),
    "mrcnn_class_conv2": ("box_head", ("mrcnn_class_conv2",), CONV),
    "mrcnn_class_bn2": ("box_head", ("mrcnn_class_bn2",), NORM),
    "mrcnn_class_logits": ("box_head", ("mrcnn_class_logits",), CONV),
    "mrcnn_bbox_fc": ("box_head", ("mrcnn_bbox_fc",), CONV),
    "mrcnn_mask_conv1": ("mask_head", ("mrcnn_mask_conv1",), CONV),
    "mrcnn_mask_bn1": ("mask_head", ("mrcnn_mask_bn1",), NORM),
    "mrcnn_mask_conv2": ("mask_head", ("mrcnn_mask_conv2",), CONV),
    "mrcnn_mask_bn2": ("mask_head", ("mrcnn_mask_bn2",), NORM),
    "mrcnn_mask_conv3": ("mask_head", ("mrcnn_mask_conv3",), CONV),
    "mrcnn_mask_bn3": ("mask_head", ("mrcnn_mask_bn3",), NORM),
    "mrcnn_mask_conv4": ("mask_head", ("mrcnn_mask_conv4",), CONV),
    "mrcnn_mask_bn4": ("mask_head", ("mrcnn_mask_bn4",), NORM),
    "mrcnn_mask_deconv": ("mask_head", ("mrcnn_mask_deconv",), CONV),
    "mrcnn_mask": ("mask_head", ("mrcnn_mask",), CONV),
}

# The training graph after the backbone; `activation_*` is numbered from the backbone's last one.
TAIL = """
fpn_c5p5 fpn_p5upsampled fpn_c4p4 fpn_p4add fpn_p4upsampled fpn_c3p3 fpn_p3add fpn_p3upsampled fpn_c2p2 fpn_p2add
fpn_p5 fpn_p2 fpn_p3 fpn_p4 fpn_p6 rpn_model rpn_class rpn_bbox anchors input_gt_boxes ROI input_gt_class_ids lambda
input_gt_masks proposal_targets input_image_meta roi_align_mask mrcnn_mask_conv1 mrcnn_mask_bn1 activation+4
mrcnn_mask_conv2 roi_align_classifier mrcnn_mask_bn2 mrcnn_class_conv1 activation+5 mrcnn_class_bn1 mrcnn_mask_conv3
activation+1 mrcnn_mask_bn3 mrcnn_class_conv2 activation+6 mrcnn_class_bn2 mrcnn_mask_conv4 activation+2
mrcnn_mask_bn4 pool_squeeze activation+7 mrcnn_bbox_fc mrcnn_mask_deconv rpn_class_logits mrcnn_class_logits mrcnn_bbox
mrcnn_mask input_rpn_match input_rpn_bbox lambda_3 mrcnn_class output_rois rpn_class_loss rpn_bbox_loss
mrcnn_class_loss mrcnn_bbox_loss mrcnn_mask_loss
"""


class NamePair(NamedTuple):
    """One array: `group / name` in the file is `part.layer.variable` in the network."""

    group: str
    name: str
    part: str
    layer: str
    variable: str


def name_pairs(backbone: str) -> list[NamePair]:
    """Every array of a network on `backbone` (`resnet50` or `resnet101`), in the order of the file."""
    pairs = []
    for group in layer_names(backbone):
        part, layers, variables = _home(group)
        pairs += [
            NamePair(group, f"{layer}/{variable}:0", part, layer, variable)
            for layer in layers
            for variable in variables
        ]
    return pairs


def layer_names(backbone: str) -> list[str]:
    """The groups of a file in order, weightless ones included, as Keras names them when it saves the graph."""
    names = [*_backbone_layers(backbone)]
    last_activation = sum(name.startswith("activation") for name in names) - 1
    for name in TAIL.split():
        prefix, plus, offset = name.partition("+")
        names.append(f"{prefix}_{last_activation + int(offset)}" if plus else name)
    return names


def _home(group: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Part, layers and arrays of a group; no layers when it is weightless."""
    if group in FPN_AND_HEADS:
        return FPN_AND_HEADS[group]
    if group == "conv1" or (group.startswith("res") and "_branch" in group):
        return "backbone", (group,), CONV
    if group.startswith("bn"):
        return "backbone", (group,), NORM
    return "", (), ()


def _backbone_layers(backbone: str) -> Iterator[str]:
    yield from ("input_image", "zero_padding2d", "conv1", "bn_conv1", "activation", "max_pooling2d")
    activations, additions = 1, 0
    for stage, num_blocks in enumerate(BLOCKS_PER_STAGE[backbone], start=FIRST_STAGE):
        for block in range(num_blocks):
            place = f"{stage}{chr(ord('a') + block)}"
            for branch in ("2a", "2b"):
                yield from (f"res{place}_branch{branch}", f"bn{place}_branch{branch}")
                yield f"activation_{activations}"
                activations += 1
            last = ("2c", "1") if block == 0 else ("2c",)
            yield from (f"res{place}_branch{branch}" for branch in last)
            yield from (f"bn{place}_branch{branch}" for branch in last)
            yield f"add_{additions}" if additions else "add"
            additions += 1
            yield f"res{place}_out"
