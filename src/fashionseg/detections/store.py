"""Stored detections: boxes and 28 x 28 mask probabilities, from which masks are pasted on demand.

Letters: P photos, N detections over all photos, M side of the mask head's output (28).

On disk, a folder of two files:
    detections.parquet  image_id, category, score, y1, x1, y2, x2, mask_probs; by (image_id, falling score)
    photos.txt          the ids of all photos predicted on, one per line, with or without detections
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fashionseg.data.splits import read_ids, write_ids
from fashionseg.errors import UserError
from fashionseg.storage.atomic import atomic_directory
from fashionseg.storage.parquet import read_table

TABLE = "detections.parquet"
PHOTOS = "photos.txt"
_BOX_COLUMNS = ("y1", "x1", "y2", "x2")
_COLUMNS = ("image_id", "category", "score", *_BOX_COLUMNS, "mask_probs")


@dataclass(frozen=True, eq=False)
class PhotoDetections:
    """Detections of one photo, N by falling score.

    Attributes:
        categories: int16 [N], 0-based.
        scores: float32 [N].
        boxes_norm: float32 [N, 4], y1, x1, y2, x2 as fractions of the upright photo's height and width,
            half-open.
        mask_probs: uint8 [N, M, M], 255 = certain, row-major, spanning the box.
    """

    categories: np.ndarray
    scores: np.ndarray
    boxes_norm: np.ndarray
    mask_probs: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, eq=False)
class Detections(PhotoDetections):
    """Detections of many photos, by photo and falling score; `Detections.build` sorts and checks them.

    Attributes:
        photos: ids of all photos predicted on, ascending, [P].
        photo_index: int32 [N], ascending; row n was found in `photos[photo_index[n]]`.
    """

    photos: tuple[str, ...]
    photo_index: np.ndarray

    @classmethod
    def build(
        cls,
        photos: Sequence[str],
        photo_index: np.ndarray,
        categories: np.ndarray,
        scores: np.ndarray,
        boxes_norm: np.ndarray,
        mask_probs: np.ndarray,
    ) -> Detections:
        """Sorts photos by id and rows by (photo, falling score); rows of equal score keep their order.

        `photo_index` counts in `photos` as given. Boxes are clipped to the photo.

        Raises:
            ValueError: lengths differ, a photo is named twice, an index is out of range, or a number is not finite.
        """
        index = np.asarray(photo_index, np.int32)
        rows = {
            "categories": categories,
            "scores": scores,
            "boxes_norm": boxes_norm,
            "mask_probs": mask_probs,
        }
        for name, values in rows.items():
            if len(values) != len(index):
                raise ValueError(f"{name}: expected {len(index)} rows, got {len(values)}")
        if len(set(photos)) != len(photos):
            raise ValueError("photos: expected different ids, got one twice")
        if len(index) and not (index.min() >= 0 and index.max() < len(photos)):
            raise ValueError(f"photo_index: expected 0 to {len(photos) - 1}")
        scores = np.asarray(scores, np.float32)
        boxes = np.asarray(boxes_norm, np.float32).reshape(-1, 4)
        if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
            raise ValueError("scores, boxes_norm: expected finite numbers")
        ids = sorted(photos)
        places = {photo: place for place, photo in enumerate(ids)}
        index = np.array([places[photo] for photo in photos], np.int32)[index]
        order = np.lexsort((-scores, index))
        return cls(
            photos=tuple(ids),
            photo_index=index[order],
            categories=np.asarray(categories, np.int16)[order],
            scores=scores[order],
            boxes_norm=np.clip(boxes, 0.0, 1.0)[order],
            mask_probs=np.asarray(mask_probs, np.uint8)[order],
        )

    @cached_property
    def offsets(self) -> np.ndarray:
        """int64 [P + 1]: the detections of photo p are rows `offsets[p]` to `offsets[p + 1]`."""
        return np.searchsorted(self.photo_index, np.arange(len(self.photos) + 1))

    def of_photos(self) -> list[PhotoDetections]:
        """One for each of `photos`."""
        columns = (self.categories, self.scores, self.boxes_norm, self.mask_probs)
        rows = [slice(start, end) for start, end in itertools.pairwise(self.offsets.tolist())]
        return [PhotoDetections(*(column[its] for column in columns)) for its in rows]


def no_detections(photos: Sequence[str], mask_side: int = 28) -> Detections:
    """Photos without detections."""
    empty = np.zeros(0)
    return Detections.build(
        photos, empty, empty, empty, np.zeros((0, 4)), np.zeros((0, mask_side, mask_side), np.uint8)
    )


def write_detections(detections: Detections, folder: Path) -> None:
    """Replaces `folder` as a whole; the same detections give the same bytes."""
    side = detections.mask_probs.shape[1]
    photos = pa.array(detections.photos, pa.string())
    masks = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(side * side),
        len(detections),
        [None, pa.py_buffer(np.ascontiguousarray(detections.mask_probs))],
    )
    table = pa.table(
        {
            "image_id": photos.take(pa.array(detections.photo_index)),
            "category": detections.categories,
            "score": detections.scores,
            **{name: detections.boxes_norm[:, place] for place, name in enumerate(_BOX_COLUMNS)},
            "mask_probs": masks,
        }
    )
    with atomic_directory(folder) as temporary:
        # Sigmoid masks are mostly 0 or 255: zstd shrinks them about five times.
        pq.write_table(table, temporary / TABLE, compression="zstd", use_dictionary=["image_id"])
        write_ids(temporary / PHOTOS, detections.photos)


def read_detections(folder: Path) -> Detections:
    """The inverse of `write_detections`.

    Raises:
        UserError: a file is missing, not readable, lacks a column, or names a photo missing from photos.txt.
    """
    photos = read_ids(folder / PHOTOS, "predict")
    table = read_table(folder / TABLE, _COLUMNS, "predict")
    places = {photo: place for place, photo in enumerate(photos)}
    ids = table["image_id"].combine_chunks().dictionary_encode()
    try:
        known = np.array([places[photo] for photo in ids.dictionary.to_pylist()], np.int32)
    except KeyError as error:
        raise UserError(
            f"{folder / TABLE}: photo {error} is not in {PHOTOS}; run the stage predict"
        ) from None
    try:
        return Detections.build(
            photos=photos,
            photo_index=known[ids.indices.to_numpy()],
            categories=table["category"].to_numpy(),
            scores=table["score"].to_numpy(),
            boxes_norm=np.stack([table[name].to_numpy() for name in _BOX_COLUMNS], axis=1),
            mask_probs=_mask_probs(table["mask_probs"].combine_chunks()),
        )
    except ValueError as error:
        raise UserError(f"{folder}: {error}") from None


def _mask_probs(column: pa.FixedSizeBinaryArray) -> np.ndarray:
    """uint8 [N, M, M] from the bytes of a fixed-size binary column."""
    width = column.type.byte_width
    side = round(width**0.5)
    if side * side != width:
        raise ValueError(f"mask_probs: expected a square of bytes, got {width}")
    values = np.frombuffer(column.buffers()[1] or b"", np.uint8)
    start = column.offset * width
    return values[start : start + len(column) * width].reshape(-1, side, side)
