"""One colour per category, the same in every picture, table and plot."""

from __future__ import annotations

Colour = tuple[int, int, int]  # RGB, 0 to 255

# 46 colours chosen greedily for the largest smallest distance (CIEDE2000; at least 12 between any two) among
# vivid ones, tints of skin left out. The colours that differ most went to the most frequent categories of
# the competition, which meet most often in one photo.
_HEX = """
967800 f0a50f 00b4b4 b43c4b ff96a5 ff7869 5a5aa5 9669a5 ffe100 00e1ff
4b690f 78873c 873c87 b45a00 f05aa5 ff781e c3f000 695a0f 78b400 8796ff
69b4ff 6900ff b4a500 0fff4b 009678 0f87f0 005aff c387ff 00fff0 f0b4ff
00871e ff1e00 ff1eff 00a5d2 0069a5 b40069 b41e0f c3d287 00b469 d200b4
e1c378 1e693c ff005a 965aff a5ffb4 c36978
""".split()

INK: Colour = (24, 24, 27)
PAPER: Colour = (255, 255, 255)


def category_colour(category: int) -> Colour:
    """RGB of a category 0..45; numbers beyond the competition's list start again."""
    text = _HEX[category % len(_HEX)]
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)


def css_colour(category: int) -> str:
    """The same as `#rrggbb`."""
    return f"#{_HEX[category % len(_HEX)]}"


def ink_on(colour: Colour) -> Colour:
    """Dark or white, whichever reads better on `colour` (relative luminance of WCAG 2)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.18 else PAPER


def mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """`colour` with `share` (0 to 1) of `other` in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue
