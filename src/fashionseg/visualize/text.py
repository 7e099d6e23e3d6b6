"""The font and the words of pictures. The font is matplotlib's own DejaVu Sans: a bare machine has none."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

from fashionseg.taxonomy import competition_taxonomy


@cache
def font(pixels: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at `pixels` of height; basic layout, because Raqm is not in every build of Pillow."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", name)
    return ImageFont.truetype(str(path), pixels, layout_engine=ImageFont.Layout.BASIC)


def category_name(category: int) -> str:
    """`shirt, blouse`; a category outside the competition's list by its number."""
    names = competition_taxonomy().category_names
    return names[category] if category < len(names) else f"category {category}"


def short_name(category: int) -> str:
    """The first word of the name for a tag: `headband, head covering, hair accessory` -> `headband`."""
    return category_name(category).split(",")[0]


def attribute_names(attributes: tuple[int, ...]) -> str:
    """`above-the-hip (length) · symmetrical`."""
    names = competition_taxonomy().attribute_names
    return " · ".join(names[a] if a < len(names) else f"attribute {a}" for a in attributes)


def fitted(draw: ImageDraw.ImageDraw, text: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    """`text`, or its beginning with an ellipsis where it is wider than `width` pixels."""
    if draw.textlength(text, font=face) <= width:
        return text
    while text and draw.textlength(text + "…", font=face) > width:
        text = text[:-1]
    return text.rstrip() + "…"
