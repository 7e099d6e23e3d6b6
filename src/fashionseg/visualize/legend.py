"""The strip below a picture: the colour and full name of each category, then the attributes of garments."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from fashionseg.taxonomy import Taxonomy
from fashionseg.visualize.colours import INK, Colour, category_colour
from fashionseg.visualize.instance import OutlinedInstance
from fashionseg.visualize.text import fitted, font

PAGE: Colour = (250, 250, 250)
TEXT: Colour = (39, 39, 42)
QUIET: Colour = (113, 113, 122)


def legend(
    instances: list[OutlinedInstance], width: int, taxonomy: Taxonomy, text_height: int = 15
) -> np.ndarray:
    """A strip uint8 [h, width, 3] with the categories in the picture, or "no garment".

    `text_height` in pixels determines all sizes.
    """
    face, line, margin = font(text_height), round(1.7 * text_height), round(0.8 * text_height)
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    categories = sorted({instance.category for instance in instances})
    needed = [
        round(ruler.textlength(taxonomy.category_name(c), font=face) + 2.8 * text_height) for c in categories
    ]
    places = _flow(needed, margin, width)
    described = sorted({(i.category, i.attributes) for i in instances if i.attributes})
    notes = [
        f"{taxonomy.short_name(c)}: {taxonomy.attribute_text(attributes)}" for c, attributes in described
    ]
    rows = max((row for _, row in places), default=0) + 1 + len(notes)
    image = Image.new("RGB", (width, rows * line + margin), PAGE)
    draw = ImageDraw.Draw(image)

    def middle(row: int) -> int:
        return margin // 2 + row * line + line // 2

    if not instances:
        draw.text((margin, middle(0)), "no garment", fill=TEXT, font=face, anchor="lm")
    half = round(0.45 * text_height)
    for category, (x, row) in zip(categories, places, strict=True):
        swatch = (x, middle(row) - half, x + 2 * half, middle(row) + half)
        draw.rounded_rectangle(swatch, half // 2, fill=category_colour(category), outline=INK, width=1)
        place = (x + round(1.3 * text_height), middle(row))
        draw.text(place, taxonomy.category_name(category), fill=TEXT, font=face, anchor="lm")
    for row, note in enumerate(notes, rows - len(notes)):
        text = fitted(draw, note, face, width - 2 * margin)
        draw.text((margin, middle(row)), text, fill=QUIET, font=face, anchor="lm")
    return np.asarray(image)


def _flow(needed: list[int], margin: int, width: int) -> list[tuple[int, int]]:
    """(x, row) of entries of the widths `needed`, left to right, wrapped into rows."""
    places, x, row = [], margin, 0
    for entry in needed:
        if x > margin and x + entry > width:
            x, row = margin, row + 1
        places.append((x, row))
        x += entry
    return places
