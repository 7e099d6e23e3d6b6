"""The strip below a picture: each category's colour, full name and count, then the attributes of garments."""

from __future__ import annotations

from collections import Counter

import numpy as np
from PIL import Image, ImageDraw

from fashionseg.visualize.colours import INK, Colour, category_colour
from fashionseg.visualize.instance import Instance
from fashionseg.visualize.text import attribute_names, category_name, fitted, font, short_name

PAGE: Colour = (250, 250, 250)
TEXT: Colour = (39, 39, 42)
_PIXELS = 15
_LINE = 26
_MARGIN = 12


def legend(instances: list[Instance], width: int) -> np.ndarray:
    """A strip uint8 [h, width, 3] that names what the picture shows; says so where it shows nothing."""
    canvas = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    face = font(_PIXELS)
    chips = _flow(canvas, sorted(Counter(i.category for i in instances)), width)
    notes = _attribute_lines(instances)
    rows = max((row for _, row, _ in chips), default=0) + 1 + len(notes)
    image = Image.new("RGB", (width, rows * _LINE + _MARGIN), PAGE)
    draw = ImageDraw.Draw(image)
    if not chips:
        draw.text((_MARGIN, _middle(0)), "no garment", fill=TEXT, font=face, anchor="lm")
    for x, row, category in chips:
        middle = _middle(row)
        swatch = (x, middle - 7, x + 14, middle + 7)
        draw.rounded_rectangle(swatch, 4, fill=category_colour(category), outline=INK, width=1)
        draw.text((x + 20, middle), category_name(category), fill=TEXT, font=face, anchor="lm")
    for row, note in enumerate(notes, rows - len(notes)):
        text = fitted(draw, note, face, width - 2 * _MARGIN)
        draw.text((_MARGIN, _middle(row)), text, fill=(113, 113, 122), font=face, anchor="lm")
    return np.asarray(image)


def _flow(draw: ImageDraw.ImageDraw, categories: list[int], width: int) -> list[tuple[int, int, int]]:
    """(x, row, category) of each entry, from left to right and on into the next row."""
    places, x, row = [], _MARGIN, 0
    for category in categories:
        needed = 20 + round(draw.textlength(category_name(category), font=font(_PIXELS))) + 22
        if x > _MARGIN and x + needed > width:
            x, row = _MARGIN, row + 1
        places.append((x, row, category))
        x += needed
    return places


def _attribute_lines(instances: list[Instance]) -> list[str]:
    described = sorted({(i.category, i.attributes) for i in instances if i.attributes})
    return [f"{short_name(category)}: {attribute_names(attributes)}" for category, attributes in described]


def _middle(row: int) -> int:
    return _MARGIN // 2 + row * _LINE + _LINE // 2
