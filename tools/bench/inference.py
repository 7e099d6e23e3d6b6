"""Photo to run-length masks at its own size, compared with the layers alone; and the cost of the photo's size."""

from __future__ import annotations

import gc
from functools import partial
from pathlib import Path

import keras
import numpy as np

from fashionseg.data.rle import format_rle
from fashionseg.detections.inference import Detector, load_detector, predict_photos
from fashionseg.detections.paste import paste_runs
from fashionseg.model.build import build_mask_rcnn
from fashionseg.model.folder import save_network
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.params import Params, changed
from tools.bench.floor import LayersAlone
from tools.bench.inputs import DETECTIONS_PER_PHOTO, NUM_CATEGORIES, PHOTO_HW, make_photo
from tools.bench.rows import Bench, Row
from tools.bench.timing import in_turns, spread

# Seconds per photo of Matterport's code on 2 cores at 512 px: quoted, measured on another machine.
MATTERPORT_SECONDS = {("resnet50", 512): 1.6, ("resnet101", 512): 1.9}
_MASK_THRESHOLD = 0.5
_LIMIT_SECONDS = 30.0  # per network


def measure_inference(bench: Bench) -> list[Row]:
    """Two or three rows for each network; cost by size of the photo once."""
    rows: list[Row] = []
    for backbone, side in bench.networks:
        # The time does not depend on trained weights but on detections: without a score threshold all slots fill.
        sizes = {"model.backbone.name": backbone, "model.image_size": side, "inference.score_threshold": 0.0}
        rows += _measure(bench, changed(bench.params, sizes), with_sizes=not rows)
        keras.utils.clear_session(free_memory=True)
        gc.collect()
    return rows


def _measure(bench: Bench, params: Params, with_sizes: bool) -> list[Row]:
    backbone, side, most = (
        params.model.backbone.name,
        params.model.image_size,
        params.inference.max_detections,
    )
    folder = bench.work / "model"
    detector = untrained_detector(folder, params)
    network = build_mask_rcnn(params.model, NUM_CATEGORIES, params.inference)
    floor = LayersAlone(network, params.inference.post_nms_top_k, most)
    floor.compile()
    rng = np.random.default_rng(0)
    small = make_photo(rng, (side, round(side * PHOTO_HW[1] / PHOTO_HW[0])))
    some = _keeping(load_detector(folder, params.inference), DETECTIONS_PER_PHOTO, detector, small)
    images = {"images": np.zeros((1, side, side, 3), np.uint8)}
    functions = {
        "ours": partial(photo_to_rles, detector, small),
        "some": partial(photo_to_rles, some, small),
        "layers": partial(floor.predict_on_batch, images),
    }
    if with_sizes:
        functions["large"] = partial(photo_to_rles, detector, make_photo(rng, PHOTO_HW))
    seconds = in_turns(functions, bench.repeats, limit_seconds=_LIMIT_SECONDS)
    ours, some_seconds, layers = (min(seconds[name]) for name in ("ours", "some", "layers"))
    on = f"{backbone}, {side} px, one photo"
    rows = [
        Row(
            "inference, against layers alone",
            f"{on}, {most} detections",
            ours / layers,
            "x",
            1.3,
            note=f"ours: {spread(seconds['ours'])}; layers: {spread(seconds['layers'])}",
        )
    ]
    if quoted := MATTERPORT_SECONDS.get((backbone, side)):
        note = (
            f"{some_seconds:.2f} s per photo, {ours:.2f} s with {most} detections; Matterport's "
            f"{quoted} s is quoted, for any number of them"
        )
        rows.append(
            Row(
                "inference, against Matterport's code",
                f"{on}, {DETECTIONS_PER_PHOTO} detections",
                quoted / some_seconds,
                "x",
                1.5,
                False,
                note=note,
            )
        )
    if with_sizes:
        large = min(seconds["large"])
        rows.append(
            Row(
                "inference, cost of the photo's size",
                f"{PHOTO_HW[0]} x {PHOTO_HW[1]} against {small.shape[0]} x {small.shape[1]}",
                large / ours,
                "x",
                note=f"{large:.2f} s and {ours:.2f} s, photos already read; shrinking and masks at full size included",
            )
        )
    return rows


def untrained_detector(folder: Path, params: Params) -> Detector:
    """A network with its initial weights, stored in `folder` and loaded."""
    names = tuple(str(category) for category in range(NUM_CATEGORIES))
    network = build_mask_rcnn(params.model, NUM_CATEGORIES, params.inference)
    # Untrained, every score would be 1; near 1 / 47 they differ, so that a threshold separates detections.
    logits = network.box_head.get_layer("mrcnn_class_logits")
    logits.kernel.assign(logits.kernel * 1e-4)
    save_network(network, params.model, names, folder)
    return load_detector(folder, params.inference)


def detector_with(folder: Path, params: Params, count: int, photo: np.ndarray) -> Detector:
    """An untrained network with a score threshold that keeps about `count` detections on `photo`."""
    all_of_them = untrained_detector(folder, params)
    return _keeping(load_detector(folder, params.inference), count, all_of_them, photo)


def _keeping(detector: Detector, count: int, all_of_them: Detector, photo: np.ndarray) -> Detector:
    """`detector` with the score threshold that keeps about `count` of the detections on `photo`."""
    assert isinstance(detector.network, MaskRCNN)
    scores = np.sort(predict_photos(all_of_them, [("photo", photo)], batch_size=1).scores)
    detector.network.select_detections.score_threshold = float(scores[-min(count, len(scores))])
    return detector


def photo_to_rles(detector: Detector, photo: np.ndarray) -> list[str]:
    """Kaggle's RLE text of the best 20 detections, at the photo's size."""
    detections = predict_photos(detector, [("photo", photo)], batch_size=1)
    hw = (photo.shape[0], photo.shape[1])
    return [
        format_rle(paste_runs(probs, box, hw, _MASK_THRESHOLD))
        for probs, box in zip(
            detections.mask_probs[:DETECTIONS_PER_PHOTO],
            detections.boxes_norm[:DETECTIONS_PER_PHOTO],
            strict=True,
        )
    ]
