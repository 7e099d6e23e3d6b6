"""A reference directory: its arrays, its configurations, and networks with its weights."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from fashionseg.errors import UserError
from fashionseg.model.build import build_mask_rcnn
from fashionseg.model.folder import upgraded
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.model.weights import load_matterport
from fashionseg.params import LATER_INFERENCE, Inference, Model, Sampling, parse_section

Arrays = dict[str, np.ndarray]

WEIGHTS_SCRIPT = "make_weights.py"
_CONFIG = Path("config_json")


class Reference:
    """A directory in the format of `README.md` there.

    Args:
        directory: where the `.npz` files lie.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def names(self) -> list[str]:
        """The reference files, without their ending."""
        names = sorted(path.stem for path in self.directory.glob("*.npz"))
        if not names:
            raise UserError(f"{self.directory}: expected a folder with reference files (*.npz)")
        return names

    def arrays(self, name: str) -> Arrays:
        """All arrays of a file."""
        path = self.directory / f"{name}.npz"
        try:
            with np.load(path) as file:
                return {key: file[key] for key in file.files}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise UserError(f"{path}: not readable: {error}") from None

    def network(self, config: dict[str, Any]) -> MaskRCNN:
        """A network of that configuration with the weights that the directory's script makes for it."""
        network = build_mask_rcnn(
            model_of(config), config["NUM_CLASSES"] - 1, inference_of(config), sampling_of(config)
        )
        script = self._script()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.h5"
            digest = script.write_h5(
                str(path),
                config["weights_backbone"],
                config["weights_num_classes"],
                config["weights_seed"],
            )
            if digest != config["weights_sha256"]:
                raise UserError(
                    f"{self.directory / WEIGHTS_SCRIPT}: expected weights with the SHA-256 "
                    f"{config['weights_sha256']}, got {digest}"
                )
            load_matterport(network, path)
        return network

    def _script(self) -> ModuleType:
        path = self.directory / WEIGHTS_SCRIPT
        if not path.is_file():
            raise UserError(f"{path}: no such file")
        spec = importlib.util.spec_from_file_location("reference_make_weights", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module


def config_of(arrays: Arrays) -> dict[str, Any]:
    """Matterport's configuration, stored with the arrays."""
    return json.loads(str(arrays["config_json"]))


def model_of(config: dict[str, Any]) -> Model:
    """The `model` section of params.yaml that means the same as Matterport's configuration."""
    height, width = config["IMAGE_SHAPE"][:2]
    expected = {
        "TRAIN_BN": False,
        "BACKBONE_STRIDES": [4, 8, 16, 32, 64],
        "IMAGE_SHAPE": [height, height, 3],
        "MASK_SHAPE": [2 * config["MASK_POOL_SIZE"]] * 2,
    }
    for key, value in expected.items():
        if config[key] != value:
            raise UserError(f"config_json: {key}: expected {value}, got {config[key]}")
    values = {
        "backbone": config["BACKBONE"],
        "backbone_width": 64,
        "train_bn": False,
        "bn_momentum": 0.99,
        "image_max_dim": width,
        "mean_pixel": config["MEAN_PIXEL"],
        "top_down_pyramid_size": config["TOP_DOWN_PYRAMID_SIZE"],
        "rpn_channels": 512,
        "fpn_classif_fc_layers_size": config["FPN_CLASSIF_FC_LAYERS_SIZE"],
        "mask_channels": 256,
        "rpn_anchor_scales": config["RPN_ANCHOR_SCALES"],
        "rpn_anchor_ratios": config["RPN_ANCHOR_RATIOS"],
        "rpn_anchor_stride": config["RPN_ANCHOR_STRIDE"],
        "rpn_nms_threshold": config["RPN_NMS_THRESHOLD"],
        "rpn_bbox_std_dev": config["RPN_BBOX_STD_DEV"],
        "bbox_std_dev": config["BBOX_STD_DEV"],
        "pre_nms_limit": config["PRE_NMS_LIMIT"],
        "pool_size": config["POOL_SIZE"],
        "mask_pool_size": config["MASK_POOL_SIZE"],
    }
    return parse_section(Model, upgraded(values, schema=1), _CONFIG)


def inference_of(config: dict[str, Any]) -> Inference:
    """The `inference` section that means the same."""
    values = {
        "post_nms_top_k": config["POST_NMS_ROIS_INFERENCE"],
        "score_threshold": config["DETECTION_MIN_CONFIDENCE"],
        "nms_threshold": config["DETECTION_NMS_THRESHOLD"],
        "max_detections": config["DETECTION_MAX_INSTANCES"],
        **LATER_INFERENCE,
    }
    return parse_section(Inference, values, _CONFIG)


def sampling_of(config: dict[str, Any]) -> Sampling:
    """The `sampling` section that means the same; all positive RoIs have a mask to learn."""
    values = {
        "max_gt_instances": config["MAX_GT_INSTANCES"],
        "mini_mask_size": config["MINI_MASK_SHAPE"][0],
        "anchors_per_image": config["RPN_TRAIN_ANCHORS_PER_IMAGE"],
        "post_nms_top_k": config["POST_NMS_ROIS_TRAINING"],
        "rois_per_image": config["TRAIN_ROIS_PER_IMAGE"],
        "positive_fraction": config["ROI_POSITIVE_RATIO"],
        "includes_gt": False,
        "mask_rois_per_image": config["TRAIN_ROIS_PER_IMAGE"],
        "cascade_ious": [0.5],  # of no box head: there is one
        "cascade_loss_factors": [1.0],
        "label_smoothing": 0.0,
        "repeat_threshold": 0.0,
    }
    return parse_section(Sampling, values, _CONFIG)


def unpack(arrays: Arrays, name: str, packed: str | None = None) -> np.ndarray:
    """The masks stored as bits under `name`_packed: bool [instances, H, W].

    The stored shape has the instances last, as in Matterport's code, or first.
    """
    bits = arrays[packed or f"{name}_packed"]
    shape = arrays[f"{name}_shape"].tolist()
    num = len(bits)
    instances_last = len(shape) == 3 and shape[-1] == num and shape[0] != num
    height, width = shape[:2] if instances_last else shape[-2:]
    if len(shape) == 4 and shape[0] * shape[1] != num:  # [B, H, W, instances]
        height, width = shape[1:3]
    flat = np.unpackbits(bits, axis=1)[:, : height * width]
    return flat.reshape(num, height, width).astype(bool)
