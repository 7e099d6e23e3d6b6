"""A small drawn data set, and sections of params.yaml for a network that trains an epoch in about a second."""

from __future__ import annotations

from pathlib import Path

from fashionseg.data.tables import read_photos
from fashionseg.params import Model, Params, changed
from fashionseg.prepare.decode import decode_folder
from fashionseg.sample import write_sample
from fashionseg.storage.atomic import atomic_directory

SIDE = 64
_TRAIN_PHOTOS, _TEST_PHOTOS, _SEED = 40, 16, 7
_BATCH = 4


def tiny_model(model: Model) -> Model:
    """`model` with few channels and an input of 64 pixels."""
    return changed(
        model,
        backbone="resnet14",
        backbone_width=4,
        image_max_dim=SIDE,
        top_down_pyramid_size=8,
        rpn_channels=8,
        fpn_classif_fc_layers_size=16,
        mask_channels=8,
        rpn_anchor_scales=(8.0, 16.0, 32.0, 48.0, 64.0),
        rpn_train_anchors_per_image=32,
        pre_nms_limit=100,
        post_nms_rois_training=30,
        post_nms_rois_inference=20,
        train_rois_per_image=12,
        max_gt_instances=4,
        detection_max_instances=5,
    )


def soak_params(params: Params) -> Params:
    """`params` with the tiny network; one loader worker, as in the sample."""
    model = changed(
        tiny_model(params.model), max_gt_instances=8, detection_max_instances=10, detection_min_confidence=0.0
    )
    train = changed(
        params.train,
        deterministic=True,
        mixed_precision=False,
        jit_compile=False,
        gpu_count=1,
        images_per_gpu=_BATCH,
        schedule="constant",
    )
    decode = changed(params.decode, long_side=SIDE, photos_per_shard=16, workers=1)
    loader = changed(params.loader, workers=1, prefetch_batches=4)
    return changed(params, model=model, train=train, decode=decode, loader=loader)


def write_inputs(folder: Path, params: Params) -> None:
    """`raw/` and `decoded/` in `folder`; nothing where they lie already."""
    raw, decoded = folder / "raw", folder / "decoded"
    if not raw.is_dir():
        with atomic_directory(raw) as temporary:
            write_sample(temporary, _TRAIN_PHOTOS, _TEST_PHOTOS, _SEED, workers=1)
    if not decoded.is_dir():
        decode_folder(raw, decoded, params.decode)


def split_ids(decoded: Path) -> tuple[list[str], list[str]]:
    """Training and validation ids: the first four fifths, and the rest."""
    ids = read_photos(decoded, "train")["image_id"].tolist()
    return ids[: len(ids) * 4 // 5], ids[len(ids) * 4 // 5 :]
