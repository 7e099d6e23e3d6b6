"""A photo of any size in the square that the network takes: scaled to fit, centred, padded with zeros."""

from __future__ import annotations

import cv2
import numpy as np

from fashionseg.data.jpeg import Pixels, shrink


def letterbox(photo: Pixels, side: int) -> tuple[Pixels, tuple[int, int, int, int]]:
    """An RGB photo of any size into a square [side, side, 3], and the window (y1, x1, y2, x2) that it fills."""
    fitted, (top, left) = fit(photo, side)
    height, width = fitted.shape[:2]
    return pad(fitted, (top, left), side), (top, left, top + height, left + width)


def fit(photo: Pixels, side: int) -> tuple[Pixels, tuple[int, int]]:
    """The photo scaled so that its longer side is `side`, and the rows and columns of padding before it."""
    height, width = fitted_size(photo, side)
    if max(photo.shape[:2]) < side:
        photo = np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    else:
        photo = shrink(photo, (height, width))
    return photo, ((side - height) // 2, (side - width) // 2)


def fitted_size(photo: Pixels, side: int) -> tuple[int, int]:
    """Height and width of the photo scaled so that its longer side is `side`."""
    longest = max(photo.shape[:2])
    height, width = (max(1, round(length * side / longest)) for length in photo.shape[:2])
    return height, width


def pad(fitted: Pixels, corner: tuple[int, int], side: int) -> Pixels:
    """The photo at `corner` (row, column) of a black square."""
    (top, left), (height, width) = corner, fitted.shape[:2]
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + height, left : left + width] = fitted
    return square
