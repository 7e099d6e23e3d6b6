"""Name tags next to their instances, placed so that they cover neither each other nor small garments.

Candidate places lie on rings around the instance's innermost point; the cheapest wins, where the cost is the sum of
covered tags, covered instances (each weighs 1 in total, so a shoe costs more per pixel than a coat) and the distance.
Small instances are placed first: a coat has room for its tag anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from fashionseg.visualize.colours import INK, PAPER, Colour, ink_on
from fashionseg.visualize.text import font

Rectangle = tuple[int, int, int, int]  # left, top, right, bottom in pixels, half-open

_MOST_TAG_OVERLAP = 0.35  # of a tag; above it the tag is omitted, and only the legend names the category


@dataclass(frozen=True, eq=False)
class Tag:
    """Text, background colour, and the mask of the instance (`crop` bool at row `top`, column `left`)."""

    text: str
    colour: Colour
    crop: np.ndarray
    top: int
    left: int


@dataclass(frozen=True, eq=False)
class PlacedTag:
    """A tag with its rectangle, and the point (x, y) of its instance."""

    tag: Tag
    rectangle: Rectangle
    anchor: tuple[int, int]


def draw_tags(picture: np.ndarray, tags: list[Tag], text_height: int) -> np.ndarray:
    """`picture` uint8 [H, W, 3] with the tags drawn; `text_height` in pixels."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    face = font(text_height, bold=True)
    sizes = [
        (round(draw.textlength(tag.text, font=face)) + text_height, round(1.45 * text_height)) for tag in tags
    ]
    placed = place_tags((image.height, image.width), tags, sizes, step=text_height)
    for one in placed:
        _draw_leader(draw, one, text_height)
    for one in placed:
        left, top, right, bottom = one.rectangle
        corners = (left, top, right - 1, bottom - 1)
        draw.rounded_rectangle(corners, text_height // 3, fill=one.tag.colour, outline=INK, width=1)
        middle = ((left + right) / 2, (top + bottom) / 2)
        draw.text(middle, one.tag.text, fill=ink_on(one.tag.colour), font=face, anchor="mm")
    return np.asarray(image).copy()


def place_tags(
    picture_hw: tuple[int, int], tags: list[Tag], sizes: list[tuple[int, int]], step: int
) -> list[PlacedTag]:
    """Places of the tags of `sizes` (width, height); `step` in pixels is the distance between candidates.

    Tags without room are omitted.
    """
    weights = _weights(picture_hw, tags)
    hidden = np.zeros(picture_hw, bool)
    placed: list[PlacedTag] = []
    for tag, size in sorted(zip(tags, sizes, strict=True), key=lambda pair: int(pair[0].crop.sum())):
        anchor = _innermost(tag, hidden)
        rectangle = _best_place(size, anchor, weights, [other.rectangle for other in placed], step)
        if rectangle is not None:
            placed.append(PlacedTag(tag, rectangle, anchor))
    return placed


def _weights(shape: tuple[int, ...], tags: list[Tag]) -> np.ndarray:
    """Integral image float64 [H + 1, W + 1] of the cost of covering a pixel: each instance sums to 1."""
    cost = np.zeros(shape, np.float64)
    for tag in tags:
        height, width = tag.crop.shape
        cost[tag.top : tag.top + height, tag.left : tag.left + width] += tag.crop / tag.crop.sum()
    return np.pad(cost.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))


def _innermost(tag: Tag, hidden: np.ndarray) -> tuple[int, int]:
    """(x, y) of the mask's pixel farthest from its border: on the garment even if it is a ring or a pair.

    Avoids pixels in `hidden`, covered by smaller instances: a coat's point must not lie on its pocket. Adds the mask
    to `hidden`.
    """
    height, width = tag.crop.shape
    region = hidden[tag.top : tag.top + height, tag.left : tag.left + width]
    visible = tag.crop & ~region
    region |= tag.crop
    inside = visible if visible.any() else tag.crop
    distance = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return tag.left + int(x), tag.top + int(y)


def _best_place(
    size: tuple[int, int], anchor: tuple[int, int], weights: np.ndarray, taken: list[Rectangle], step: int
) -> Rectangle | None:
    """The cheapest rectangle of `size` (width, height) around `anchor`; None if other tags leave no room."""
    picture_height, picture_width = weights.shape[0] - 1, weights.shape[1] - 1
    width, height = size
    candidates: list[tuple[float, Rectangle]] = []
    for dx, dy in _RING_STEPS:
        left = round(anchor[0] + dx * (width / 2 + step * abs(dx)) - width / 2)
        top = round(anchor[1] + dy * 1.6 * step - height / 2)
        left, top = max(0, min(left, picture_width - width)), max(0, min(top, picture_height - height))
        place = (left, top, left + width, top + height)
        overlap = max((_overlap(place, other) for other in taken), default=0.0)
        if overlap <= _MOST_TAG_OVERLAP:
            away = float(np.hypot(dx * 1.5, dy))
            candidates.append((5 * overlap + 2 * _covered(weights, place) + 0.12 * away, place))
    # Of equal costs the first: the nearest.
    return min(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


# Steps around the anchor, nearest first: 13 rows and 9 columns.
_RING_STEPS = sorted(
    ((dx / 2, dy) for dx in range(-4, 5) for dy in range(-6, 7)),
    key=lambda step: (np.hypot(step[0] * 1.5, step[1]), step),
)


def _covered(weights: np.ndarray, place: Rectangle) -> float:
    left, top, right, bottom = place
    bottom, right = min(bottom, weights.shape[0] - 1), min(right, weights.shape[1] - 1)
    return float(weights[bottom, right] - weights[top, right] - weights[bottom, left] + weights[top, left])


def _overlap(a: Rectangle, b: Rectangle) -> float:
    """Shared area as a fraction of the smaller rectangle, with a margin of one pixel."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 2
    height = min(a[3], b[3]) - max(a[1], b[1]) + 2
    smaller = min((r[2] - r[0]) * (r[3] - r[1]) for r in (a, b))
    return max(width, 0) * max(height, 0) / smaller if width > 0 and height > 0 else 0.0


def _draw_leader(draw: ImageDraw.ImageDraw, placed: PlacedTag, text_height: int) -> None:
    """A line from the tag to its instance, unless the tag covers the anchor."""
    (left, top, right, bottom), (x, y) = placed.rectangle, placed.anchor
    if left <= x < right and top <= y < bottom:
        return
    start = (min(max(x, left), right - 1), min(max(y, top), bottom - 1))
    width, radius = max(1, text_height // 9), max(2, text_height // 5)
    draw.line([start, placed.anchor], fill=INK, width=width + 2)
    draw.line([start, placed.anchor], fill=PAPER, width=width)
    dot = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(dot, fill=placed.tag.colour, outline=INK, width=1)
