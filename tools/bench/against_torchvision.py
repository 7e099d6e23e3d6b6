"""Training step and inference on the CPU compared with torchvision's Mask R-CNN of the same layers, in turns."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial

import keras
import numpy as np

from fashionseg.detections.inference import Detector
from fashionseg.detections.instances import Thresholds
from fashionseg.exported.convert import to_litert
from fashionseg.exported.file import About, write_exported
from fashionseg.exported.runtime import load_exported
from fashionseg.model.api import Network
from fashionseg.params import Params, changed
from tools.bench.inference import detector_with, photo_to_rles
from tools.bench.inputs import DETECTIONS_PER_PHOTO, make_photo
from tools.bench.rows import Bench, Row
from tools.bench.timing import in_turns, spread
from tools.bench.torchvision_cpu import TorchvisionProcess, has_torchvision
from tools.bench.training import compiled_step, make_batch

_BATCH = 2
_SIDES = (512, 256)
_TARGET = 1.15
_EXPORTED = "exported-"  # in names of work
_LIMIT_SECONDS = 120.0  # per row
# Torchvision's layers: its RPN has as many channels as the pyramid; ground-truth boxes are RoIs too, as there.
_SAME_LAYERS = {"model.backbone.name": "resnet50", "model.rpn.channels": 256, "sampling.includes_gt": True}
# Instances of a photo: `few` leaves most mask rows empty, `many` fills all 66.
_INSTANCES = {"few": 7, "many": 80}
# Seconds a photo of torchvision 0.29.1 (PyTorch 2.14.1) on two cores of another machine.
_QUOTED = {
    ("many", 512): 3.33,
    ("many", 256): 2.06,
    ("few", 512): 2.25,
    ("few", 256): 1.00,
    ("masks-20", 512): 0.88,
    ("masks-100", 512): 1.01,
}


def measure_against_torchvision(bench: Bench) -> list[Row]:
    """A row for each kind of work; torchvision's seconds are quoted where it is not installed."""
    sides = sorted({side for _, side in bench.networks} & set(_SIDES), reverse=True)
    return [row for side in sides for row in _rows_of_side(bench, side)]


def _rows_of_side(bench: Bench, side: int) -> list[Row]:
    params = changed(bench.params, _SAME_LAYERS | {"model.image_size": side})
    batches = {name: make_batch(params, _BATCH, count) for name, count in _INSTANCES.items()}
    photo = make_photo(np.random.default_rng(0), (side, side))
    ours: dict[str, tuple[Callable[[], object], int, str]] = {}
    step = compiled_step(params)
    for name, batch in batches.items():
        on = f"resnet50, {side} px, batch {_BATCH}, {_INSTANCES[name]} instances a photo"
        ours[name] = partial(step.train_on_batch, batch), _BATCH, on
    if side == max(_SIDES):
        for count in (DETECTIONS_PER_PHOTO, params.inference.max_detections):
            on = f"resnet50, {side} px, one photo to {DETECTIONS_PER_PHOTO} masks of {count} detections"
            detector = _detector(bench, params, photo, count)
            ours[f"masks-{count}"] = partial(photo_to_rles, detector, photo), 1, on
        # The last one, with all detections: an exported file works on the padding too.
        file = partial(photo_to_rles, _exported(bench, detector), photo)
        ours[f"{_EXPORTED}masks-{count}"] = file, 1, on
    if not has_torchvision():
        rows = [comparison(bench, name, side, work, None, "quoted") for name, work in ours.items()]
    else:
        with TorchvisionProcess(bench.work / "torchvision", params, batches, photo) as peer:
            versions = peer.run("versions")
            rows = [
                comparison(bench, name, side, work, partial(peer.run, name.removeprefix(_EXPORTED)), versions)
                for name, work in ours.items()
            ]
    keras.utils.clear_session(free_memory=True)
    gc.collect()
    return rows


def _detector(bench: Bench, params: Params, photo: np.ndarray, count: int) -> Detector:
    untrained = changed(params, {"inference.score_threshold": 0.0})
    return detector_with(bench.work / "model", untrained, count, photo)


def _exported(bench: Bench, detector: Detector) -> Detector:
    """The same detector as a file of `fashionseg export`."""
    network = detector.network
    assert isinstance(network, Network)
    thresholds = Thresholds(score=0.0, nms=0.5, mask=0.5, min_area=1)
    about = About(
        detector.category_names, network.image_size, False, 0.0, False, thresholds, precision="float32"
    )
    path = bench.work / "model.tflite"
    write_exported(path, to_litert(network, "float32"), about)
    return load_exported(path)[0]


def comparison(
    bench: Bench,
    name: str,
    side: int,
    work: tuple[Callable[[], object], int, str],
    peer: Callable[[], object] | None,
    source: str,
) -> Row:
    """The row of one kind of work.

    Args:
        name: of `_INSTANCES`, or `masks-N`.
        side: of the square input in pixels.
        work: ours, the number of photos it takes, and the size as text.
        peer: torchvision's same work; None: its seconds are quoted.
        source: versions of the peer.
    """
    ours, photos, on = work
    functions = {"ours": ours} if peer is None else {"ours": ours, "torchvision": peer}
    seconds = in_turns(functions, bench.repeats, limit_seconds=_LIMIT_SECONDS)
    best = min(seconds["ours"]) / photos
    if peer is None:
        theirs = _QUOTED[name.removeprefix(_EXPORTED), side]
        note = f"{best:.2f} s per photo; torchvision's {theirs} s is quoted"
    else:
        theirs = min(seconds["torchvision"]) / photos
        note = (
            f"seconds per photo: {spread(seconds['ours'], 1 / photos)}; {source}: "
            f"{spread(seconds['torchvision'], 1 / photos)}"
        )
    what = "training step" if name in _INSTANCES else "inference"
    if name.startswith(_EXPORTED):
        what = "inference of an exported file"
    return Row(
        f"{what}, against torchvision", on, theirs / best, "x", _TARGET, lower_is_better=False, note=note
    )
