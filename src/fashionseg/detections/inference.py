"""Photos to detections with a trained network; nothing here needs ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fashionseg.backend import Scope, device_scope, start_backend
from fashionseg.console import track
from fashionseg.data.letterbox import letterbox
from fashionseg.detections.fusion import fuse, mirror
from fashionseg.detections.store import Detections, no_detections
from fashionseg.params import Inference

if TYPE_CHECKING:
    from fashionseg.model.api import Network

Batch = dict[str, np.ndarray]
Columns = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Detector:
    """A trained network and its compiled forward pass.

    Attributes:
        network: the model.
        category_names: by category id.
        run: the compiled `Network.call` on NumPy arrays; batches of a multiple of `num_devices`.
        num_devices: that share a batch.
        quality_exponent: of `mask_qualities`, a factor of the scores; 0 leaves the scores.
        flips: whether the mirror images are predicted too, and both fused.
    """

    network: Network
    category_names: tuple[str, ...]
    run: Callable[[Batch], dict[str, np.ndarray]]
    num_devices: int = 1
    quality_exponent: float = 0.0
    flips: bool = False

    @property
    def image_size(self) -> int:
        """S, side of the network's input in pixels."""
        return self.network.image_size

    def padded_size(self, batch_size: int) -> int:
        """`batch_size`, or the next that the devices can share."""
        return -(-batch_size // self.num_devices) * self.num_devices


def load_detector(
    directory: Path, inference: Inference, num_devices: int = 1, is_compiled: bool = True
) -> Detector:
    """The detector of a folder written by a training stage.

    Args:
        directory: the model folder.
        inference: what predictions keep; section of params.yaml.
        num_devices: GPUs that share a batch; fewer where fewer are here.
        is_compiled: False runs the operations one by one: the first photo comes sooner, each further one later.
            Without effect on JAX, which would compile each operation.

    Raises:
        UserError: a file is missing or damaged.
    """
    start_backend()
    import keras

    from fashionseg.model.folder import load_network

    scope = device_scope(num_devices)
    with scope():
        network, _, category_names = load_network(directory, inference)
    network.run_eagerly = not is_compiled and keras.backend.backend() == "tensorflow"
    return make_detector(network, category_names, inference.mask_quality, inference.flip, scope)


def make_detector(
    network: Network,
    category_names: tuple[str, ...],
    quality_exponent: float = 0.0,
    flips: bool = False,
    scope: Scope = nullcontext,
) -> Detector:
    """A detector of a network in memory; it runs with whatever weights the network has at the time.

    Args:
        quality_exponent: see `Detector`.
        flips: see `Detector`.
        scope: of the devices, see `backend.device_scope`; the current one if it is not given.
    """
    from fashionseg.ops.replicas import num_shares, share_batch

    def run(batch: Batch) -> dict[str, np.ndarray]:
        with scope():
            return network.predict_on_batch(
                share_batch({"images": batch["images"], "windows": batch["windows"]})
            )

    with scope():
        return Detector(network, category_names, run, num_shares(), quality_exponent, flips)


def predict_records(
    detector: Detector, decoded: Path, subset: str, image_ids: Sequence[str], batch_size: int
) -> Detections:
    """Detections on decoded photos of `subset` (`train` or `test`)."""
    # Imported here: Grain takes two seconds, and who predicts a photo needs none of it.
    from fashionseg.data.loader import inference_batches

    batch_size = detector.padded_size(batch_size)
    batches = inference_batches(decoded, subset, list(image_ids), detector.image_size, batch_size)
    num_batches = -(-len(image_ids) // batch_size)
    return _collect(detector, track(batches, f"predict {subset}", num_batches), list(image_ids))


def predict_photos(
    detector: Detector, photos: Iterable[tuple[str, np.ndarray]], batch_size: int
) -> Detections:
    """Detections on any photos: (name, RGB uint8 [H, W, 3]), resized to the network's input one by one."""
    batch_size = detector.padded_size(batch_size)
    names: list[str] = []

    def batches() -> Iterator[Batch]:
        images, windows, first = [], [], 0
        for name, photo in photos:
            names.append(name)
            image, window = letterbox(photo, detector.image_size)
            images.append(image)
            windows.append(window)
            if len(images) == batch_size:
                yield _batch(images, windows, first, batch_size)
                images, windows, first = [], [], len(names)
        if images:
            yield _batch(images, windows, first, batch_size)

    return _collect(detector, batches(), names)


def _batch(images: list[np.ndarray], windows: list[Any], first: int, batch_size: int) -> Batch:
    """Padded to `batch_size`, so that the compiled network sees one shape only."""
    missing = batch_size - len(images)
    index = np.arange(first, first + len(images), dtype=np.int32)
    return {
        "images": np.stack([*images, *[images[-1]] * missing]),
        "windows": np.array([*windows, *[windows[-1]] * missing], np.float32),
        "photo_index": np.concatenate([index, np.full(missing, -1, np.int32)]),
    }


def _collect(detector: Detector, batches: Iterable[Batch], names: list[str]) -> Detections:
    """Runs the network over batches; `names` may still grow while it does."""
    views = [_identity, _mirrored] if detector.flips else [_identity]
    parts: list[list[Columns]] = [[] for _ in views]
    for batch in batches:
        for view, its in zip(views, parts, strict=True):
            its.append(_detect(detector, view(batch)))
    upright, *mirrored = (_join(names, its) for its in parts)
    return fuse([upright, *(mirror(each) for each in mirrored)]) if mirrored else upright


def _identity(batch: Batch) -> Batch:
    return batch


def _mirrored(batch: Batch) -> Batch:
    """The photos of a batch mirrored left to right, as the square input shows them."""
    side, (top, left, bottom, right) = batch["images"].shape[2], batch["windows"].T
    return {
        **batch,
        "images": batch["images"][:, :, ::-1],
        "windows": np.stack([top, side - right, bottom, side - left], axis=1),
    }


def _detect(detector: Detector, batch: Batch) -> Columns:
    """The columns of `Detections.build` for the photos of a batch."""
    output = detector.run(batch)
    image, row = np.nonzero((output["classes"] > 0) & (batch["photo_index"] >= 0)[:, None])
    boxes, windows = output["boxes"][image, row], batch["windows"][image]
    scores, masks = output["scores"][image, row], output["masks"][image, row]
    if detector.quality_exponent > 0.0:
        scores = scores * mask_qualities(masks) ** detector.quality_exponent
    return (
        batch["photo_index"][image],
        output["classes"][image, row].astype(np.int16) - 1,
        scores,
        _photo_fractions(boxes, windows),
        np.round(masks * 255.0).astype(np.uint8),
    )


def _join(names: list[str], parts: list[Columns]) -> Detections:
    if not parts:
        return no_detections(names)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Detections.build(names, *columns)


def mask_qualities(mask_probs: np.ndarray) -> np.ndarray:
    """Mean probability of the pixels inside each mask, those of at least 0.5; 0 where no pixel is inside.

    Args:
        mask_probs: [n, M, M], 0 to 1.

    Returns:
        float32 [n].
    """
    inside = mask_probs >= 0.5
    totals = np.sum(mask_probs, axis=(1, 2), where=inside, dtype=np.float32)
    return totals / np.maximum(inside.sum(axis=(1, 2), dtype=np.float32), 1.0)


def _photo_fractions(boxes: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Boxes [n, 4] in pixels of the square input -> fractions of the photo in its window [n, 4], edges half-open."""
    origin = np.tile(windows[:, :2], (1, 2))
    size = np.tile(windows[:, 2:] - windows[:, :2], (1, 2))
    return np.clip((boxes - origin) / size, 0.0, 1.0).astype(np.float32)
