"""The comparison on street photos: settings, split and files of both sides.

FOLDER/settings.json  decoded/  split.json         the same for both
FOLDER/ours/  FOLDER/torchvision/                  state/, detections/, about.json
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.errors import UserError
from fashionseg.params import Params, changed
from fashionseg.storage.atomic import atomic_write
from tools.bench.settings import SMALL_NETWORK

SIDES = ("ours", "torchvision")
SETTINGS, SPLIT, DECODED, STATE, DETECTIONS, ABOUT = (
    "settings.json",
    "split.json",
    "decoded",
    "state",
    "detections",
    "about.json",
)
WARMUP_SHARE = 0.05
CLIP_NORM = 5.0
WEIGHT_DECAY = 1e-4
_TRIAL_PHOTOS = (40, 8)
_LONG_SIDE_OF_ANCHORS = 512  # input side for which the original's anchors of 32 to 512 pixels are made


@dataclass(frozen=True)
class StreetRun:
    """Settings of both sides.

    Attributes:
        photos: folder in Kaggle's layout.
        minutes: of training per side.
        backbone, side, batch_size: of the network and its input.
        learning_rate: at its peak; AdamW on both sides.
        validation_fraction: of the photos.
        seed: of the split, the weights and the order of photos.
        is_trial: few photos and a small network of ours, which may run on a CPU; its scores are not results.
    """

    photos: str
    minutes: float
    backbone: str = "resnet50"
    side: int = 512
    batch_size: int = 16
    learning_rate: float = 3e-4
    validation_fraction: float = 0.151  # splits the 639 photos of Clothing Co-Parsing into 540 and 99
    seed: int = 2019
    is_trial: bool = False


def trial(photos: str, minutes: float) -> StreetRun:
    """All steps on a CPU."""
    return StreetRun(photos, minutes, backbone="resnet14", side=96, batch_size=2, is_trial=True)


def params_of(run: StreetRun, params: Params) -> Params:
    """From scratch with batch statistics, and RoIs sampled as in torchvision."""
    scale = run.side / _LONG_SIDE_OF_ANCHORS
    params = changed(
        params,
        {
            "model.pretrained": "none",
            "model.backbone.name": run.backbone,
            "model.image_size": run.side,
            "model.batch_norm.backbone": True,
            "model.batch_norm.heads": True,
            "model.batch_norm.momentum": 0.9,
            "model.anchors.sizes": tuple(scale * size for size in params.model.anchors.sizes),
            "model.rpn.pre_nms_top_k": 5000,
            "sampling.includes_gt": True,
            "sampling.post_nms_top_k": 1000,
            "sampling.max_gt_instances": 32,
        },
    )
    return changed(params, SMALL_NETWORK) if run.is_trial else params


def prepare(run: StreetRun, folder: Path, params: Params) -> None:
    """Decodes and splits the photos unless that is done.

    Raises:
        UserError: the folder holds a run with other settings, or the photos are not in Kaggle's layout.
    """
    from fashionseg.prepare.decode import decode_folder
    from fashionseg.sources.folder import check_layout

    settings = folder / SETTINGS
    if settings.exists():
        before = read_run(folder)
        if before != run:
            kinds = [name for name, value in asdict(before).items() if value != getattr(run, name)]
            raise UserError(
                f"{folder}: expected the settings of the run in this folder, got others ({', '.join(kinds)}); "
                "run with --restart or another --out"
            )
        return
    check_layout(Path(run.photos))
    decode_folder(Path(run.photos), folder / DECODED, changed(params.decode, long_side=run.side, workers=0))
    training, validation = _split(run, folder / DECODED, params)
    with atomic_write(folder / SPLIT) as temporary:
        temporary.write_text(json.dumps({"training": training, "validation": validation}), encoding="utf-8")
    with atomic_write(settings) as temporary:  # last: marks the folder as complete
        temporary.write_text(json.dumps(asdict(run), indent=1) + "\n", encoding="utf-8")


def read_run(folder: Path) -> StreetRun:
    return StreetRun(**json.loads((folder / SETTINGS).read_text(encoding="utf-8")))


def read_ids(folder: Path) -> tuple[list[str], list[str]]:
    """Training and validation photos."""
    split = json.loads((folder / SPLIT).read_text(encoding="utf-8"))
    return split["training"], split["validation"]


def write_about(side: Path, **facts: Any) -> None:
    """Device and versions of a side."""
    with atomic_write(side / ABOUT) as temporary:
        temporary.write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _split(run: StreetRun, decoded: Path, params: Params) -> tuple[list[str], list[str]]:
    """Training and validation ids, split like the stage `split`."""
    from fashionseg.data.tables import read_instances, read_photos
    from fashionseg.prepare.split import split_photos

    photos = read_photos(decoded, "train")
    instances = read_instances(decoded, ["image_id", "category"])
    categories = instances["category"].to_numpy()
    position = {image_id: number for number, image_id in enumerate(photos["image_id"])}
    presence = np.zeros((len(photos), int(categories.max()) + 1), bool)
    presence[[position[image_id] for image_id in instances["image_id"]], categories] = True
    split = split_photos(
        photos["image_id"].tolist(),
        photos["dhash"].to_numpy(),
        presence,
        run.validation_fraction,
        params.split.near_duplicate_bits,
        run.seed,
    )
    training, validation = list(split.train), list(split.validation)
    if run.is_trial:
        return training[: _TRIAL_PHOTOS[0]], validation[: _TRIAL_PHOTOS[1]]
    return training, validation
