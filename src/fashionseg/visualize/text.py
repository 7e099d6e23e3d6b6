"""Font and texts of pictures. The font is DejaVu Sans from matplotlib: a bare machine has none."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from PIL import ImageDraw, ImageFont


@cache
def font(pixels: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans at a height of `pixels`; basic layout, because not every build of Pillow has Raqm."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", name)
    return ImageFont.truetype(str(path), pixels, layout_engine=ImageFont.Layout.BASIC)


def fitted(draw: ImageDraw.ImageDraw, text: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    """`text`, truncated with an ellipsis if it is wider than `width` pixels."""
    if draw.textlength(text, font=face) <= width:
        return text
    while text and draw.textlength(text + "…", font=face) > width:
        text = text[:-1]
    return text.rstrip() + "…"
