"""Decoded records to batches for the network: seeded order, augmentation, targets; without TensorFlow.

B photos, S the side of the square input, G padded instances, M the side of mini-masks. A photo keeps its shape: it is
scaled to fit the square, centred, and padded with zeros ("square" in Matterport's terms). Boxes are [y1, x1, y2, x2] in
pixels of the square, half-open.

The order of an epoch and each photo's augmentation depend on (seed, epoch, photo) only: not on the number of workers,
and not on where a training resumes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import grain
import numpy as np
from absl import flags
from numpy.typing import NDArray

from fashionseg import params
from fashionseg.console import say
from fashionseg.data.augment import (
    Augmenter,
    PhotoMap,
    mini_mask,
    scaling,
    translation,
    warp_mask,
)
from fashionseg.data.epoch_order import EpochOrder, repeat_factors
from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.letterbox import fit, letterbox, pad
from fashionseg.data.pose_input import place_pose, place_pose_in_window
from fashionseg.data.poses import NO_POSE, Pose, Poses
from fashionseg.data.records import PhotoRecord, PhotoSource
from fashionseg.data.tables import record_indices
from fashionseg.errors import UserError
from fashionseg.parallel import lacks_memory, require_main_guard

Batch = dict[str, NDArray[Any]]

_CHOICE, _SAMPLING = 1, 2  # streams of random numbers; the augmentation has others
_THREADS = 4  # of each process: decoding and resampling release Python's lock
_MAX_WORKERS = 16  # more processes only take memory


class TrainingBatches:
    """Endless batches of augmented photos, from the first of `start_epoch` on.

    An epoch shows every photo at most once, or, with `sampling.repeat_threshold`, photos of rare categories more often
    than others. It has as many examples as whole batches of all photos, so every batch has the same shape. Worker
    processes, if any, live until `close`.

    Keys: images uint8 [B, S, S, 3]; gt_classes int32 [B, G], category + 1, 0 padding; gt_boxes float32 [B, G, 4];
    gt_masks uint8 [B, G, M, M], 0 or 1, each spanning its box; sampling_seeds uint32 [B];
    photo_index int32 [B], the place in `image_ids`. With poses also landmarks float32 [B, 33, 3] and person_masks uint8
    [B, 64, 64], see `fashionseg.data.pose_input`.
    """

    def __init__(
        self,
        decoded: Path,
        image_ids: Sequence[str],
        image_size: int,
        sampling: params.Sampling,
        augment: params.Augment,
        loader: params.Loader,
        batch_size: int,
        seed: int,
        start_epoch: int = 0,
        poses: Poses | None = None,
    ) -> None:
        """
        Args:
            poses: those of `image_ids`, for a network that takes them.

        Raises:
            UserError: fewer photos than a batch holds, one that was not decoded, or a script without a main guard.
        """
        self.image_ids = image_ids
        self.steps_per_epoch = len(image_ids) // batch_size
        if self.steps_per_epoch == 0:
            raise UserError(
                f"train.images_per_device: batch size {batch_size} exceeds the {len(image_ids)} training photos"
            )
        source = PhotoSource(decoded, "train", record_indices(decoded, "train", image_ids))
        targets = Targets(image_size, sampling.max_gt_instances, sampling.mini_mask_size)
        threshold = sampling.repeat_threshold
        factors = repeat_factors(decoded, image_ids, threshold) if threshold > 0 else None
        order = EpochOrder(seed, len(image_ids), self.steps_per_epoch * batch_size, factors)
        examples = _Epochs(source, targets, Augmenter(augment, image_size), order, start_epoch, poses)
        batches = grain.MapDataset.source(examples).batch(batch_size)
        self._iterator = _iterate(batches, num_workers(loader), loader.prefetch_batches)

    def __iter__(self) -> Iterator[Batch]:
        """
        Raises:
            UserError: a worker process was killed, or memory ran out.
        """
        to_save_memory = "set loader.workers or loader.prefetch_batches lower and run again"
        try:
            for batch in self._iterator:
                # A worker's batches lie in shared memory; a copy frees it at once, however long a batch is kept.
                yield {key: np.array(value) for key, value in batch.items()}
        except Exception as error:
            if lacks_memory(error):
                raise UserError(f"the loader: out of memory; {to_save_memory}") from None
            if "Worker process was terminated" in str(error):  # Grain's words, and its only sign
                raise UserError(f"a loader worker was killed; if memory ran out, {to_save_memory}") from None
            raise

    def get_state(self) -> dict[str, Any]:
        """Position of the iterator; `set_state` of an equal object resumes from there."""
        return self._iterator.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        self._iterator.set_state(state)

    def close(self) -> None:
        """Ends the worker processes."""
        self._iterator.close()


class Batches:
    """A fixed number of batches in a fixed order; may be iterated again."""

    def __init__(self, dataset: grain.MapDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Batch]:
        iterator = _iterate(self._dataset, workers=0, prefetch_batches=_THREADS)
        try:
            yield from iterator
        finally:
            iterator.close()


def validation_batches(
    decoded: Path,
    image_ids: Sequence[str],
    image_size: int,
    sampling: params.Sampling,
    batch_size: int,
    poses: Poses | None = None,
) -> Batches:
    """All photos with their truth, in order, not augmented; the last batch is filled with black photos.

    Keys: those of `TrainingBatches`, and photo_index int32 [B], the place in `image_ids`, -1 for a black photo.
    """
    source = PhotoSource(decoded, "train", record_indices(decoded, "train", image_ids))
    targets = Targets(image_size, sampling.max_gt_instances, sampling.mini_mask_size)
    return _in_order(_Validation(source, targets, batch_size, poses), batch_size)


def inference_batches(
    decoded: Path,
    subset: str,
    image_ids: Sequence[str],
    image_size: int,
    batch_size: int,
    poses: Poses | None = None,
) -> Batches:
    """Photos of a subset ("train" or "test") in order; the last batch is filled with black photos.

    Keys: images uint8 [B, S, S, 3]; windows float32 [B, 4], the part of the square that holds the photo (all of it for
    a black photo); photo_index int32 [B], the place in `image_ids`, -1 for a black photo; with the `poses` of
    `image_ids` also landmarks and person_masks.
    """
    source = PhotoSource(decoded, subset, record_indices(decoded, subset, image_ids))
    return _in_order(_Inference(source, image_size, batch_size, poses), batch_size)


class Targets:
    """Makes a training example of a record: the photo in its square and its ground truth."""

    def __init__(self, side: int, max_instances: int, mini_mask_side: int) -> None:
        self.side = side
        self.max_instances = max_instances
        self.mini_mask_side = mini_mask_side

    def __call__(
        self, record: PhotoRecord, augmenter: Augmenter | None, *seed: int, pose: Pose | None = None
    ) -> Batch:
        """An example without the batch axis, see `TrainingBatches`.

        Args:
            augmenter: None letterboxes the photo.
            pose: of the photo, for a network that takes poses.
            seed: identifies the photo and, in training, the epoch; it draws the augmentation, the instances where
                there are more than G, and the anchors and RoIs that the network samples.
        """
        photo = decode_jpeg(record.jpeg)
        if augmenter is None:
            fitted, corner = fit(photo, self.side)
            image = pad(fitted, corner, self.side)
            to_square = scaling(photo.shape[:2], fitted.shape[:2]).then(translation(*corner))
        else:
            image, to_square = augmenter(photo, *seed)
        return {
            "images": image,
            "sampling_seeds": np.random.SeedSequence([*seed, _SAMPLING]).generate_state(1)[0],
            **self._instances(record, to_square, seed),
            **({} if pose is None else place_pose(pose, photo.shape[:2], to_square, self.side)),
        }

    def empty(self) -> Batch:
        """A black photo without instances."""
        count, side = self.max_instances, self.mini_mask_side
        return {
            "images": np.zeros((self.side, self.side, 3), np.uint8),
            "sampling_seeds": np.array(0, np.uint32),
            "gt_classes": np.zeros(count, np.int32),
            "gt_boxes": np.zeros((count, 4), np.float32),
            "gt_masks": np.zeros((count, side, side), np.uint8),
        }

    def _instances(self, record: PhotoRecord, to_square: PhotoMap, seed: Sequence[int]) -> Batch:
        example = self.empty()
        del example["images"], example["sampling_seeds"]
        chosen = np.arange(len(record.runs))
        if len(chosen) > self.max_instances:
            # Not the first G: the csv's order is the annotator's, and the last ones would never be learnt.
            chosen = np.random.default_rng([*seed, _CHOICE]).permutation(len(chosen))
        place = 0
        for number in chosen:
            if place == self.max_instances:
                break
            warped = warp_mask(record.runs[number], (record.height, record.width), to_square, self.side)
            if warped is None:
                continue
            example["gt_classes"][place] = record.categories[number] + 1
            example["gt_boxes"][place], cropped = warped
            example["gt_masks"][place] = mini_mask(cropped, self.mini_mask_side)
            place += 1
        return example


class _Epochs:
    """A Grain source: the examples of `start_epoch`, then those of the next epoch, and so on."""

    def __init__(
        self,
        source: PhotoSource,
        targets: Targets,
        augmenter: Augmenter,
        order: EpochOrder,
        start_epoch: int,
        poses: Poses | None,
    ) -> None:
        self._source = source
        self._targets = targets
        self._augmenter = augmenter
        self._order = order
        self._start_epoch = start_epoch
        self._poses = poses

    def __len__(self) -> int:
        return self._order.length * 2**31  # endless, for any training

    def __getitem__(self, index: int) -> Batch:
        epochs, place = divmod(index, self._order.length)
        epoch = self._start_epoch + epochs
        photo, repeat = self._order.example(epoch, place)
        # A photo that the epoch shows again is augmented and sampled like another one.
        seed = (self._order.seed, epoch, photo + repeat * len(self._source))
        pose = None if self._poses is None else self._poses[photo]
        example = self._targets(self._source[photo], self._augmenter, *seed, pose=pose)
        return {**example, "photo_index": np.array(photo, np.int32)}


class _Validation:
    """A Grain source of examples without augmentation, padded to whole batches."""

    def __init__(self, source: PhotoSource, targets: Targets, batch_size: int, poses: Poses | None) -> None:
        self._source = source
        self._targets = targets
        self._poses = poses
        self._length = -(-len(source) // batch_size) * batch_size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Batch:
        if index >= len(self._source):
            return {
                **self._targets.empty(),
                **_no_pose(self._poses),
                "photo_index": np.array(-1, np.int32),
            }
        pose = None if self._poses is None else self._poses[index]
        example = self._targets(self._source[index], None, index, pose=pose)
        return {**example, "photo_index": np.array(index, np.int32)}


class _Inference:
    """A Grain source of letterboxed photos, padded to whole batches."""

    def __init__(self, source: PhotoSource, side: int, batch_size: int, poses: Poses | None) -> None:
        self._source = source
        self._side = side
        self._poses = poses
        self._length = -(-len(source) // batch_size) * batch_size

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Batch:
        if index >= len(self._source):
            image, window = np.zeros((self._side, self._side, 3), np.uint8), (0, 0, self._side, self._side)
            pose, index = _no_pose(self._poses), -1
        else:
            image, window = letterbox(decode_jpeg(self._source[index].jpeg), self._side)
            pose = {}
            if self._poses is not None:
                pose = place_pose_in_window(self._poses[index], window, self._side)
        return {
            **pose,
            "images": image,
            "windows": np.array(window, np.float32),
            "photo_index": np.array(index, np.int32),
        }


def _no_pose(poses: Poses | None) -> Batch:
    """What stands for the pose of a black photo."""
    return {} if poses is None else {"landmarks": NO_POSE.landmarks, "person_masks": NO_POSE.mask}


def _in_order(source: Any, batch_size: int) -> Batches:
    return Batches(grain.MapDataset.source(source).batch(batch_size))


def num_workers(loader: params.Loader) -> int:
    """Worker processes; `auto` leaves one core to the process that trains, and is printed."""
    if loader.workers != "auto":
        return loader.workers
    workers = min(max(len(os.sched_getaffinity(0)) - 1, 1), _MAX_WORKERS)
    say(f"loader.workers: auto, here {workers}")
    return workers


def _iterate(dataset: grain.MapDataset, workers: int, prefetch_batches: int) -> Any:
    """An iterator over a data set of batches: in `workers` processes, or in threads of this one for 0."""
    reading = grain.ReadOptions(
        num_threads=min(_THREADS, prefetch_batches), prefetch_buffer_size=prefetch_batches
    )
    batches = dataset.to_iter_dataset(reading)
    if workers:
        require_main_guard()
        if not flags.FLAGS.is_parsed():  # Grain reads its defaults from absl's flags
            flags.FLAGS.mark_as_parsed()
        # When a worker is stopped, Grain may lose a batch in transit. Python's tracker process frees its memory in the
        # end, as it should; without this it also prints a warning.
        os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker:UserWarning")
        options = grain.MultiprocessingOptions(workers, per_worker_buffer_size=prefetch_batches)
        batches = batches.mp_prefetch(options, worker_init_fn=_start_worker)
    return iter(batches)


def _start_worker(worker: int, workers: int) -> None:
    cv2.setNumThreads(1)  # the other workers and the training use the other cores
