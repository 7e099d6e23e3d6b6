"""Our batches in torchvision's format, and torchvision's outputs as our detections.

torchvision: boxes [x1, y1, x2, y2] in pixels, edges half-open as ours; masks of the whole input; images a list.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

Batch = dict[str, np.ndarray]


def torchvision_batch(batch: Batch) -> tuple[list[Any], list[dict[str, Any]]]:
    """A batch of our loader.

    Returns:
        Images uint8 [3, S, S]; for each `boxes` float32 [n, 4], `labels` int64 [n], `masks` uint8 [n, S, S], n without
        the padding. Tensors on the CPU, in pinned memory if there is a GPU.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    images, targets = [], []
    side = batch["images"].shape[1]
    for image, classes, boxes, minis in zip(
        batch["images"], batch["gt_classes"], batch["gt_boxes"], batch["gt_masks"], strict=True
    ):
        rows = np.flatnonzero(classes > 0)
        masks = np.zeros((len(rows), side, side), np.uint8)
        for mask, row in zip(masks, rows, strict=True):
            _paste(mask, minis[row], boxes[row])
        target = {
            "boxes": torch.from_numpy(np.ascontiguousarray(boxes[rows][:, [1, 0, 3, 2]], np.float32)),
            "labels": torch.from_numpy(classes[rows].astype(np.int64)),
            "masks": torch.from_numpy(masks),
        }
        pixels = torch.from_numpy(image)
        if has_gpu:
            pixels, target = pixels.pin_memory(), {name: value.pin_memory() for name, value in target.items()}
        images.append(pixels.permute(2, 0, 1))
        targets.append(target)
    return images, targets


def to_device(
    images: list[Any], targets: list[dict[str, Any]], device: str
) -> tuple[list[Any], list[dict[str, Any]]]:
    """The same on `device`, images float32 in 0..1; pixels are transferred as bytes."""
    return (
        [image.to(device, non_blocking=True).float() / 255 for image in images],
        [{name: value.to(device, non_blocking=True) for name, value in target.items()} for target in targets],
    )


def to_our_cells(probs: np.ndarray) -> np.ndarray:
    """Mask probabilities on torchvision's grid -> on ours, float32 [n, M, M] -> float32 [n, M, M].

    torchvision's M x M values lie at the centres of M cells that tile the box. Ours lie at the sampling points of the
    mask targets, starting a quarter of a cell inside the box (`detections.paste`). Pasted without this, torchvision's
    masks would be a hundredth too large.
    """
    cells = probs.shape[-1]
    places = (np.arange(cells) * (2 * cells - 1) / (cells - 1) + 0.5) / 2 - 0.5
    # Linear extrapolation beyond the outermost centres keeps an edge in place.
    before = np.clip(np.floor(places).astype(int), 0, cells - 2)
    part = places - before
    weights = np.zeros((cells, cells), np.float32)
    weights[np.arange(cells), before] = 1 - part
    weights[np.arange(cells), before + 1] += part
    return np.clip(weights @ probs.astype(np.float32) @ weights.T, 0.0, 1.0)


def detections_of_photo(
    output: dict[str, np.ndarray], window: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One photo's outputs before torchvision pastes its masks.

    Args:
        output: `boxes` float32 [n, 4] in pixels of the square input, `labels` int [n] from 1, `scores` [n], `masks`
            float32 [n, 1, M, M].
        window: [4], the part of the square that holds the photo, in pixels.

    Returns:
        categories int16 [n] from 0, scores float32 [n], boxes float32 [n, 4] as fractions of the photo
        [y1, x1, y2, x2], mask probabilities uint8 [n, M, M]: the columns of `Detections.build`.
    """
    boxes = output["boxes"][:, [1, 0, 3, 2]]
    origin, size = np.tile(window[:2], 2), np.tile(window[2:] - window[:2], 2)
    probs = to_our_cells(output["masks"][:, 0])
    return (
        output["labels"].astype(np.int16) - 1,
        output["scores"].astype(np.float32),
        np.clip((boxes - origin) / size, 0.0, 1.0).astype(np.float32),
        np.round(probs * 255.0).astype(np.uint8),
    )


def _paste(mask: np.ndarray, mini: np.ndarray, box: np.ndarray) -> None:
    """A mini-mask that spans its box, into zeros [S, S]."""
    y1, x1, y2, x2 = box.astype(int)
    mask[y1:y2, x1:x2] = cv2.resize(mini, (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST)
