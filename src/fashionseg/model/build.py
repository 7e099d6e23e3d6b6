"""The whole network from the `model` section of params.yaml; and its folder: architecture and weights."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

from fashionseg.errors import UserError
from fashionseg.model.backbone import build_backbone
from fashionseg.model.box_head import build_box_head
from fashionseg.model.detections import Detections
from fashionseg.model.fpn import build_fpn
from fashionseg.model.layers import BatchNorm
from fashionseg.model.mask_head import build_mask_head
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.model.roi_targets import RoiSampler
from fashionseg.model.rpn import Proposals, build_rpn_head
from fashionseg.ops.anchors import pyramid_anchors
from fashionseg.params import Model, model_to_dict, parse_model
from fashionseg.storage.atomic import atomic_write
from fashionseg.storage.hdf5 import open_checked
from fashionseg.storage.room import require_room

WEIGHTS_FILE = "model.weights.h5"
ARCHITECTURE_FILE = "model.json"


def build_mask_rcnn(model: Model, num_categories: int) -> MaskRCNN:
    """The network, initialised at random from Keras's global seed.

    Args:
        model: the `model` section of params.yaml.
        num_categories: K - 1.
    """
    side, num_classes = model.image_max_dim, num_categories + 1
    batch_norm = BatchNorm(model.train_bn, model.bn_momentum)
    backbone = build_backbone(model.backbone, side, model.backbone_width, batch_norm)
    fpn = build_fpn([feature.shape[1:] for feature in backbone.outputs], model.top_down_pyramid_size)
    channels = model.top_down_pyramid_size
    return MaskRCNN(
        backbone=backbone,
        fpn=fpn,
        rpn_head=build_rpn_head(
            channels, model.rpn_channels, len(model.rpn_anchor_ratios), model.rpn_anchor_stride
        ),
        box_head=build_box_head(
            model.pool_size, channels, model.fpn_classif_fc_layers_size, num_classes, batch_norm
        ),
        mask_head=build_mask_head(
            model.mask_pool_size, channels, model.mask_channels, num_classes, batch_norm
        ),
        proposals=Proposals(
            model.rpn_bbox_std_dev, model.pre_nms_limit, model.rpn_nms_threshold, name="proposals"
        ),
        detections=Detections(
            model.bbox_std_dev,
            model.detection_min_confidence,
            model.detection_nms_threshold,
            model.detection_max_instances,
            name="detections",
        ),
        roi_sampler=RoiSampler(
            rois_per_image=model.train_rois_per_image,
            positive_ratio=model.roi_positive_ratio,
            bbox_std_dev=model.bbox_std_dev,
            mask_size=2 * model.mask_pool_size,
            includes_gt=model.proposals_include_gt,
            fills_negatives=model.proposals_include_gt,
            mask_rois_per_image=model.train_mask_rois_per_image,
        ),
        anchors=pyramid_anchors(
            (side, side), model.rpn_anchor_scales, model.rpn_anchor_ratios, model.rpn_anchor_stride
        ),
        image_side=side,
        mean_pixel=model.mean_pixel,
        pool_size=model.pool_size,
        mask_pool_size=model.mask_pool_size,
        proposals_training=model.post_nms_rois_training,
        proposals_inference=model.post_nms_rois_inference,
        rpn_anchors_per_image=model.rpn_train_anchors_per_image,
        rpn_bbox_std_dev=model.rpn_bbox_std_dev,
    )


def save_model(network: MaskRCNN, model: Model, category_names: tuple[str, ...], directory: Path) -> None:
    """Writes `model.weights.h5` (byte-stable) and `model.json` into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    with atomic_write(directory / WEIGHTS_FILE) as temporary:
        require_room(directory, network.variables)
        named = temporary.with_name(f"{temporary.name}.weights.h5")  # Keras insists on the ending
        try:
            network.save_weights(named)
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
    architecture = {"model": model_to_dict(model), "categories": list(category_names)}
    with atomic_write(directory / ARCHITECTURE_FILE) as temporary:
        temporary.write_text(json.dumps(architecture, indent=2) + "\n", encoding="utf-8")


def read_architecture(directory: Path) -> tuple[Model, tuple[str, ...]]:
    """The `model` section and the category names that a folder of `save_model` was made with."""
    path = directory / ARCHITECTURE_FILE
    try:
        architecture = json.loads(path.read_text(encoding="utf-8"))
        return parse_model(architecture["model"], path), tuple(architecture["categories"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a folder written by a training stage") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not a model description: {error}") from None


def load_model(directory: Path) -> tuple[MaskRCNN, Model, tuple[str, ...]]:
    """The network of a folder, its `model` section and its category names.

    Raises:
        UserError: a file is missing, damaged, or does not fit the other.
    """
    model, category_names = read_architecture(directory)
    network = build_mask_rcnn(model, len(category_names))
    load_weights(network, directory / WEIGHTS_FILE)
    return network, model, category_names


def load_weights(network: MaskRCNN, path: Path) -> None:
    """Reads a `model.weights.h5` that fits the network exactly."""
    with open_checked(path):  # before Keras allocates what the file claims to hold
        pass
    try:
        # Keras warns of parts that it leaves at their initial values; a partial load is none.
        with warnings.catch_warnings(record=True, action="always") as skipped:
            network.load_weights(path)
        reason = str(skipped[0].message) if skipped else ""
    except Exception as error:  # h5py and Keras raise nearly anything on files that are not theirs
        reason = str(error).strip() or type(error).__name__
    if reason:
        raise UserError(f"{path}: weights that do not fit the model: {reason.strip().splitlines()[0]}")
