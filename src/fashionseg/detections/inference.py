"""Photos to detections with a trained network; nothing here needs ground truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fashionseg.backend import Scope, device_scope, start_backend
from fashionseg.console import track
from fashionseg.data.letterbox import letterbox
from fashionseg.data.pose_input import mirror_poses, place_pose_in_window
from fashionseg.data.poses import NO_POSE, Pose, Poses
from fashionseg.detections.fusion import fuse, mirror
from fashionseg.detections.store import Detections, no_detections
from fashionseg.errors import UserError
from fashionseg.params import SIZE_STEP, Inference
from fashionseg.pose.model_files import IN_MODEL_FOLDER

if TYPE_CHECKING:
    from fashionseg.model.api import Network

Batch = dict[str, np.ndarray]
Columns = tuple[np.ndarray, ...]
Forward = Callable[[Batch], dict[str, np.ndarray]]
FindPose = Callable[[np.ndarray], Pose | None]


class DetectorNetwork(Protocol):
    """What a detector asks of its network, which need not be one of Keras."""

    @property
    def image_size(self) -> int:
        """S, side of the square input in pixels."""

    @property
    def takes_pose(self) -> bool:
        """Whether `POSE_KEYS` are inputs too."""


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
        find_pose: finds the person on an RGB photo, for a network that takes poses.
        at_other_sizes: by input size, `run` of networks with the same weights; detections at all sizes are fused.
    """

    network: DetectorNetwork
    category_names: tuple[str, ...]
    run: Forward
    num_devices: int = 1
    quality_exponent: float = 0.0
    flips: bool = False
    find_pose: FindPose | None = None
    at_other_sizes: Mapping[int, Forward] = field(default_factory=dict)

    @property
    def runs(self) -> dict[int, Forward]:
        """By S, the side of the network's input in pixels."""
        return {self.network.image_size: self.run, **self.at_other_sizes}

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

    def load(image_size: int | None = None) -> Detector:
        with scope():
            network, _, category_names = load_network(directory, inference, image_size=image_size)
        network.run_eagerly = not is_compiled and keras.backend.backend() == "tensorflow"
        return make_detector(network, category_names, inference.mask_quality, inference.flip, scope)

    detector = load()
    if detector.network.takes_pose:
        detector = replace(detector, find_pose=_pose_finder(directory / IN_MODEL_FOLDER))
    sizes = _scaled_sizes(detector.network.image_size, inference.scales)
    return replace(detector, at_other_sizes={size: load(size).run for size in sizes})


def _pose_finder(folder: Path) -> FindPose:
    """Loads the model of poses when the first photo comes: decoded photos have theirs already."""

    @cache
    def estimator() -> FindPose:
        from fashionseg.pose.estimator import PoseEstimator

        return PoseEstimator(folder)

    return lambda photo: estimator()(photo)


def _scaled_sizes(size: int, scales: Sequence[float]) -> list[int]:
    """Input sizes: the multiples of 32 nearest to `size` times each scale.

    Raises:
        UserError: two of them, or one of them and `size`, are the same.
    """
    sizes = {scale: max(round(size * scale / SIZE_STEP), 1) * SIZE_STEP for scale in scales}
    if len({size, *sizes.values()}) < 1 + len(scales):
        shown = ", ".join(f"{scale:g} gives {side}" for scale, side in sizes.items())
        raise UserError(
            f"inference.scales: expected sizes that differ from each other and from {size}; "
            f"in multiples of {SIZE_STEP} {shown}"
        )
    return list(sizes.values())


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
    from fashionseg.model.api import POSE_KEYS
    from fashionseg.ops.replicas import num_shares, share_batch

    inputs = ("images", "windows", *(POSE_KEYS if network.takes_pose else ()))

    def run(batch: Batch) -> dict[str, np.ndarray]:
        with scope():
            return network.predict_on_batch(share_batch({name: batch[name] for name in inputs}))

    with scope():
        return Detector(network, category_names, run, num_shares(), quality_exponent, flips)


def predict_records(
    detector: Detector,
    decoded: Path,
    subset: str,
    image_ids: Sequence[str],
    batch_size: int,
    poses: Poses | None = None,
) -> Detections:
    """Detections on decoded photos of `subset` (`train` or `test`), with their poses where the network takes them."""
    # Imported here: Grain takes two seconds, and who predicts a photo needs none of it.
    from fashionseg.data.loader import inference_batches

    ids, batch_size = list(image_ids), detector.padded_size(batch_size)
    of_sizes = [inference_batches(decoded, subset, ids, size, batch_size, poses) for size in detector.runs]
    batches = track(zip(*of_sizes, strict=True), f"predict {subset}", len(of_sizes[0]))
    return _collect(detector, batches, ids)


def predict_photos(
    detector: Detector, photos: Iterable[tuple[str, np.ndarray]], batch_size: int
) -> Detections:
    """Detections on any photos: (name, RGB uint8 [H, W, 3]), resized to the network's input one by one."""
    batch_size = detector.padded_size(batch_size)
    names: list[str] = []

    def batches() -> Iterator[list[Batch]]:
        first = 0
        # One by one, so that no batch of large photos is in memory.
        squares = ((name, _squares(detector, photo)) for name, photo in photos)
        while some := list(islice(squares, batch_size)):
            names.extend(name for name, _ in some)
            yield [
                _batch(of_size, first, batch_size)
                for of_size in zip(*(each for _, each in some), strict=True)
            ]
            first = len(names)

    return _collect(detector, batches(), names)


def _squares(detector: Detector, photo: np.ndarray) -> list[Batch]:
    """What the network takes of a photo, at each of its input sizes, without the batch axis."""
    pose = None if detector.find_pose is None else detector.find_pose(photo) or NO_POSE
    squares: list[Batch] = []
    for size in detector.runs:
        image, window = letterbox(photo, size)
        placed = {} if pose is None else place_pose_in_window(pose, window, size)
        squares.append({"images": image, "windows": np.array(window, np.float32), **placed})
    return squares


def _batch(squares: Sequence[Batch], first: int, batch_size: int) -> Batch:
    """Letterboxed photos, padded to `batch_size`, so that the compiled network sees one shape only."""
    missing = batch_size - len(squares)
    index = np.arange(first, first + len(squares), dtype=np.int32)
    return {
        **{
            name: np.stack([*(square[name] for square in squares), *[squares[-1][name]] * missing])
            for name in squares[0]
        },
        "photo_index": np.concatenate([index, np.full(missing, -1, np.int32)]),
    }


def _collect(detector: Detector, batches: Iterable[Sequence[Batch]], names: list[str]) -> Detections:
    """Runs the network over batches, each given in every input size; `names` may still grow while it does."""
    views = [_identity, _mirrored] if detector.flips else [_identity]
    parts: dict[tuple[int, Any], list[Columns]] = {
        (size, view): [] for size in detector.runs for view in views
    }
    for of_sizes in batches:
        for (size, run), batch in zip(detector.runs.items(), of_sizes, strict=True):
            for view in views:
                parts[size, view].append(_detect(run, view(batch), detector.quality_exponent))
    sets = [
        _join(names, its) if view is _identity else mirror(_join(names, its))
        for (_, view), its in parts.items()
    ]
    return fuse(sets) if len(sets) > 1 else sets[0]


def _identity(batch: Batch) -> Batch:
    return batch


def _mirrored(batch: Batch) -> Batch:
    """The photos of a batch mirrored left to right, as the square input shows them."""
    side, (top, left, bottom, right) = batch["images"].shape[2], batch["windows"].T
    poses = mirror_poses(batch, side) if "landmarks" in batch else {}
    return {
        **batch,
        **poses,
        "images": batch["images"][:, :, ::-1],
        "windows": np.stack([top, side - right, bottom, side - left], axis=1),
    }


def _detect(run: Forward, batch: Batch, quality_exponent: float) -> Columns:
    """The columns of `Detections.build` for the photos of a batch."""
    output = run(batch)
    image, row = np.nonzero((output["classes"] > 0) & (batch["photo_index"] >= 0)[:, None])
    boxes, windows = output["boxes"][image, row], batch["windows"][image]
    scores, masks = output["scores"][image, row], output["masks"][image, row]
    if quality_exponent > 0.0:
        scores = scores * mask_qualities(masks) ** quality_exponent
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
