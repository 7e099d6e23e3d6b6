"""A small synthetic data set, and params for a network that trains an epoch in about a second."""

from __future__ import annotations

from pathlib import Path

from fashionseg.data.tables import read_photos
from fashionseg.params import Params, changed
from fashionseg.prepare.decode import decode_folder
from fashionseg.sample.layout import write_sample
from fashionseg.storage.atomic import atomic_directory

SIDE = 64
_TRAIN_PHOTOS, _TEST_PHOTOS, _SEED = 40, 16, 7
_BATCH = 4

_TINY = {
    "model.image_size": SIDE,
    "model.backbone.name": "resnet14",
    "model.backbone.width": 4,
    "model.fpn.channels": 8,
    "model.anchors.sizes": (8.0, 16.0, 32.0, 48.0, 64.0),
    "model.rpn.channels": 8,
    "model.rpn.pre_nms_top_k": 100,
    "model.box_head.channels": 16,
    "model.mask_head.channels": 8,
    "sampling.max_gt_instances": 8,
    "sampling.anchors_per_image": 32,
    "sampling.post_nms_top_k": 30,
    "sampling.rois_per_image": 12,
    "inference.post_nms_top_k": 20,
    "inference.score_threshold": 0.0,
    "inference.max_detections": 10,
    "train.deterministic": True,
    "train.mixed_precision": False,
    "train.jit_compile": False,
    "train.num_devices": 1,
    "train.images_per_device": _BATCH,
    "train.schedule": "constant",
    "decode.long_side": SIDE,
    "decode.photos_per_shard": 16,
    "decode.workers": 1,
    "loader.workers": 1,
    "loader.prefetch_batches": 4,
}


def soak_params(params: Params) -> Params:
    """`params` with a tiny network; one loader worker, as in the sample."""
    return changed(params, _TINY)


def write_inputs(folder: Path, params: Params) -> None:
    """Writes `raw/` and `decoded/` in `folder` unless they exist."""
    raw, decoded = folder / "raw", folder / "decoded"
    if not raw.is_dir():
        with atomic_directory(raw) as temporary:
            write_sample(temporary, _TRAIN_PHOTOS, _TEST_PHOTOS, _SEED, workers=1)
    if not decoded.is_dir():
        decode_folder(raw, decoded, params.decode)


def split_ids(decoded: Path) -> tuple[list[str], list[str]]:
    """Training ids, the first four fifths, and validation ids, the rest."""
    ids = read_photos(decoded, "train")["image_id"].tolist()
    return ids[: len(ids) * 4 // 5], ids[len(ids) * 4 // 5 :]
