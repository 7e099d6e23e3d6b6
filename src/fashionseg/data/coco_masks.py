"""Masks as COCO json writes them: polygons, and run-length codes as a list or as compressed text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """COCO's polygons [[x, y, x, y, ...], ...] or run-length code -> uint8 [height, width], as pycocotools draws it.

    Raises:
        ValueError: it is none of both, or of another size.
    """
    from hotcoco import mask as coco_mask

    if isinstance(segmentation, list):
        polygons = [polygon for polygon in segmentation if isinstance(polygon, list) and len(polygon) >= 6]
        if not polygons:
            raise ValueError("segmentation: expected polygons of three points or more, got none")
        for polygon in polygons:
            if len(polygon) % 2 or not all(_is_number(value) for value in polygon):
                raise ValueError("segmentation: expected pairs of finite numbers in a polygon")
        codes = coco_mask.frPyObjects(polygons, height, width)
        return coco_mask.decode(coco_mask.merge(codes))
    if not isinstance(segmentation, dict):
        raise ValueError(f"segmentation: expected polygons or a run-length code, got {_kind(segmentation)}")
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise ValueError(
            f"segmentation: expected the size [{height}, {width}] of the image, got {str(size)[:60]}"
        )
    if isinstance(counts, list):
        return _from_counts(counts, height, width)
    if not isinstance(counts, str) or not counts.isascii():
        raise ValueError(f"segmentation: expected counts as a list or text, got {_kind(counts)}")
    return _from_counts(_uncompressed(counts), height, width)


def _from_counts(counts: list[Any], height: int, width: int) -> np.ndarray:
    """Runs of zeros and ones in turns, down the columns."""
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise ValueError("segmentation: expected counts of 0 and above")
    if sum(counts) != height * width:
        raise ValueError(f"segmentation: expected counts of {height * width} pixels, got {sum(counts)}")
    values = np.arange(len(counts), dtype=np.uint8) % 2
    return np.repeat(values, counts).reshape(width, height).T


def _uncompressed(text: str) -> list[int]:
    """The counts of COCO's compressed text: groups of five bits, the least first, differences from the third on."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 60:
            raise ValueError("segmentation: expected COCO's compressed counts, got other text")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("segmentation: expected whole compressed counts, the text ends within one")
    return counts


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
