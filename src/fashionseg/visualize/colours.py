"""One colour per category, the same in every picture, table and plot."""

from __future__ import annotations

Colour = tuple[int, int, int]  # RGB, 0 to 255

# 46 colours chosen greedily for the largest smallest distance (CIEDE2000; at least 12 between any two) among
# vivid ones without skin tones; assigned by annealing so that frequent categories of the competition, and garments
# worn together, differ most.
# fmt: off
_HEX = (
    "695a0f", "00e1ff", "0069a5", "b40069", "ff96a5", "a5ffb4", "b41e0f", "c3f000", "1e693c", "00b469",
    "6900ff", "69b4ff", "c387ff", "0f87f0", "5a5aa5", "00871e", "005aff", "ff7869", "009678", "873c87",
    "e1c378", "967800", "f05aa5", "00fff0", "f0a50f", "ff1e00", "c36978", "d200b4", "ff781e", "b45a00",
    "c3d287", "f0b4ff", "ffe100", "0fff4b", "78b400", "ff1eff", "4b690f", "00a5d2", "00b4b4", "b43c4b",
    "78873c", "9669a5", "ff005a", "8796ff", "b4a500", "965aff",
)
# fmt: on

INK: Colour = (24, 24, 27)
PAPER: Colour = (255, 255, 255)


def category_colour(category: int) -> Colour:
    """RGB of a category; numbers beyond the 46 colours wrap around."""
    red, green, blue = bytes.fromhex(_HEX[category % len(_HEX)])
    return red, green, blue


def css_colour(category: int) -> str:
    """The same as `#rrggbb`."""
    return f"#{_HEX[category % len(_HEX)]}"


def ink_on(colour: Colour) -> Colour:
    """Dark or white ink, whichever is more legible on `colour`.

    By relative luminance (WCAG 2), with bold white text preferred on mid tones such as teal.
    """
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.3 else PAPER
