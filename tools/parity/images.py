"""Images and masks in Matterport's way, in NumPy, for the comparison; the data path has faster ones of its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from skimage.transform import resize

PAD_MULTIPLE = 64
INTERPOLATION_EDGE = 0.5  # masks are cut here


class Resized(NamedTuple):
    """A resized and padded image.

    Attributes:
        image: uint8 [H, W, 3].
        window: (y1, x1, y2, x2) in pixels, the part that holds the photo.
        scale: resized / original.
        padding: ((top, bottom), (left, right), (0, 0)) in pixels.
    """

    image: np.ndarray
    window: tuple[int, int, int, int]
    scale: float
    padding: np.ndarray


def resize_image(image: np.ndarray, min_dim: int, max_dim: int, min_scale: float, mode: str) -> Resized:
    """Scales an image and pads it with zeros.

    Args:
        image: uint8 [h, w, 3].
        min_dim: the shorter side becomes at least so long; 0: no limit.
        max_dim: side of the square (mode `square`).
        min_scale: at least so much larger; 0: no limit.
        mode: `square`, `pad64` (sides become multiples of 64) or `none`.
    """
    height, width = image.shape[:2]
    if mode == "none":
        return Resized(image, (0, 0, height, width), 1.0, np.zeros((3, 2), np.int32))
    scale = max(1.0, min_dim / min(height, width)) if min_dim else 1.0
    scale = max(scale, min_scale)
    if mode == "square" and round(max(height, width) * scale) > max_dim:
        scale = max_dim / max(height, width)
    if scale != 1.0:
        height, width = round(height * scale), round(width * scale)
        # Truncated, not rounded, as Matterport's cast does.
        image = bilinear(image, (height, width)).astype(np.uint8)
    target = (max_dim, max_dim) if mode == "square" else (_up_to_multiple(height), _up_to_multiple(width))
    top, left = (target[0] - height) // 2, (target[1] - width) // 2
    padding = np.array([(top, target[0] - height - top), (left, target[1] - width - left), (0, 0)], np.int32)
    return Resized(np.pad(image, padding), (top, left, top + height, left + width), scale, padding)


def resize_masks(masks: np.ndarray, scale: float, padding: np.ndarray) -> np.ndarray:
    """Masks [h, w, n] to the size of their image: nearest neighbour on a corner-aligned grid, then padding."""
    rows, columns = (_nearest_corner_aligned(size, round(size * scale)) for size in masks.shape[:2])
    return np.pad(masks[rows][:, columns], padding)


def image_meta(
    image_id: int,
    original_shape: tuple[int, ...],
    shape: tuple[int, ...],
    window: tuple[int, ...],
    scale: float,
    active_classes: np.ndarray,
) -> np.ndarray:
    """Matterport's vector of everything about an image."""
    return np.array([image_id, *original_shape, *shape, *window, scale, *active_classes], np.float64)


def minimize_masks(boxes: np.ndarray, masks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Masks bool [h, w, n] in their integer boxes, resized: bool [*shape, n]."""
    crops = [
        masks[y1:y2, x1:x2, i].astype(np.float64) for i, (y1, x1, y2, x2) in enumerate(boxes[:, :4].tolist())
    ]
    return np.stack([np.around(bilinear(crop, shape)).astype(bool) for crop in crops], axis=-1)


def expand_masks(boxes: np.ndarray, mini_masks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Inverse of `minimize_masks`: bool [*shape, n]."""
    masks = np.zeros((*shape, len(boxes)), bool)
    for i, (y1, x1, y2, x2) in enumerate(boxes[:, :4].tolist()):
        mini = mini_masks[..., i].astype(np.float64)
        masks[y1:y2, x1:x2, i] = np.around(bilinear(mini, (y2 - y1, x2 - x1))).astype(bool)
    return masks


def mask_iou(masks_a: np.ndarray, masks_b: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair: bool [M, h, w], [N, h, w] -> float32 [M, N]."""
    a, b = (masks.reshape(len(masks), -1).astype(np.float32) for masks in (masks_a, masks_b))
    intersection = a @ b.T
    return intersection / (a.sum(axis=1)[:, None] + b.sum(axis=1)[None, :] - intersection)


def paste_mask(scores: np.ndarray, box: tuple[int, ...], shape: tuple[int, int]) -> np.ndarray:
    """Mask probabilities [28, 28] in an integer box of an image: bool [*shape]."""
    y1, x1, y2, x2 = box
    mask = np.zeros(shape, bool)
    mask[y1:y2, x1:x2] = bilinear(scores, (y2 - y1, x2 - x1)) >= INTERPOLATION_EDGE
    return mask


def unmold(
    detections: np.ndarray,
    mask_scores: np.ndarray,
    original_shape: tuple[int, int],
    shape: tuple[int, int],
    window: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The network's detections as instances of the original image.

    Args:
        detections: float32 [D, 6], normalised box, class, score; zero-padded.
        mask_scores: [D, 28, 28] of the detected class.
        original_shape, shape: (height, width) of the image before and after resizing.
        window: pixels of the resized image that hold the photo.

    Returns:
        boxes int32 [n, 4], classes int32 [n], scores float32 [n], masks bool [n, height, width].
    """
    padding = np.flatnonzero(detections[:, 4] == 0)
    num = int(padding[0]) if len(padding) else len(detections)
    window_norm = normalise(np.array(window), shape)
    origin, size = np.tile(window_norm[:2], 2), np.tile(window_norm[2:] - window_norm[:2], 2)
    boxes = denormalise((detections[:num, :4] - origin) / size, original_shape)
    has_area = np.flatnonzero((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) > 0)
    masks = [paste_mask(mask_scores[i], tuple(boxes[i].tolist()), original_shape) for i in has_area]
    stacked = np.stack(masks) if masks else np.zeros((0, *original_shape), bool)
    classes = detections[has_area, 4].astype(np.int32)
    return boxes[has_area], classes, detections[has_area, 5], stacked


def normalise(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """As `ops.boxes.normalise`, computed in float64: float32."""
    height, width = shape
    return ((boxes - [0, 0, 1, 1]) / [height - 1, width - 1, height - 1, width - 1]).astype(np.float32)


def denormalise(boxes_norm: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Inverse of `normalise`, rounded half to even: int32 pixels."""
    height, width = shape
    return np.around(
        boxes_norm * np.array([height - 1, width - 1, height - 1, width - 1]) + np.array([0, 0, 1, 1])
    ).astype(np.int32)


def bilinear(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Half-pixel centres, no anti-aliasing, zeros outside, clipped to the range of `image`."""
    return resize(
        image,
        (*shape, *image.shape[2:]),
        order=1,
        mode="constant",
        cval=0,
        clip=True,
        preserve_range=True,
        anti_aliasing=False,
    )


def _nearest_corner_aligned(n_in: int, n_out: int) -> np.ndarray:
    """int [n_out]: the source pixel of each target pixel when the corner pixels stay corners."""
    step = (n_in - 1) / max(
        n_out - 1, 1
    )  # first the step, as SciPy does: positions of exactly .5 depend on it
    return np.floor(np.arange(n_out) * step + 0.5).astype(np.int64)


def _up_to_multiple(size: int) -> int:
    return -(-size // PAD_MULTIPLE) * PAD_MULTIPLE
