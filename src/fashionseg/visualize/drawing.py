"""Masks on a photo: a light fill and a thin double outline, visible on dark and bright cloth."""

from __future__ import annotations

import cv2
import numpy as np

from fashionseg.visualize.colours import INK, category_colour

GARMENT_OPACITY = 0.30
PART_OPACITY = 0.42  # a part must stand out from the fill of its garment


def display_size(height: int, width: int, least_height: int, longest_side: int) -> tuple[int, int]:
    """(height, width) of a shown photo: at least `least_height` high as far as `longest_side` allows."""
    scale = min(max(1.0, least_height / height), longest_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def resize_photo(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    """A photo uint8 [H, W, 3] resized smoothly."""
    if photo.shape[:2] == (height, width):
        return photo.copy()
    interpolation = cv2.INTER_AREA if height < photo.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(photo, (width, height), interpolation=interpolation)


def paint(
    picture: np.ndarray, crop: np.ndarray, top: int, left: int, category: int, is_part: bool, unit: int
) -> None:
    """Fills and outlines one mask in place.

    `crop` bool [h, w] lies at row `top`, column `left` of `picture` uint8 [H, W, 3]; `unit` is the width of
    a fine line in pixels.
    """
    colour = category_colour(category)
    opacity = PART_OPACITY if is_part else GARMENT_OPACITY
    region = picture[top : top + crop.shape[0], left : left + crop.shape[1]]
    region[crop] = np.round(region[crop] * (1 - opacity) + np.array(colour) * opacity).astype(np.uint8)
    # Padding, so that a mask cut off by its box or by the photo's edge gets a closed outline.
    contours, _ = cv2.findContours(
        np.pad(crop, 1).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(left - 1, top - 1)
    )
    lighter = [round(value + (255 - value) * 0.35) for value in colour]
    for line_colour, width in ((INK, 3 * unit), (lighter, 2 * unit)):
        cv2.drawContours(picture, contours, -1, line_colour, width, lineType=cv2.LINE_AA)
