"""The palette, and the choice of fabrics that contrast with their surroundings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from skimage.color import rgb2lab

from fashionseg.sample.chance import pick
from fashionseg.sample.textures import Colour, Texture, darker, hex_colour, lighter, mix


def _colours(text: str) -> tuple[Colour, ...]:
    return tuple(hex_colour(word) for word in text.split())


FABRIC_COLOURS = _colours(
    "c8553d f2a541 e9c46a 8ab17d 2a9d8f 264653 1d3557 457b9d a8dadc e63946 9b2226 6d597a b56576 e5989b "
    "ffcdb2 f1faee 3d405b 81b29a f4a261 5f0f40 0f4c5c fb8b24 9a031e 4a6fa5 d8c3a5 2b2d42 588157 344e41 "
    "bc6c25 dda15e b8b8d1 ff9f9f 7c9885 ede0d4 22223b c9ada7 006d77 e29578 9d8189 5e548e be95c4 fefae0 "
    "6b705c cb997e a5a58d 84a98c f28482 f6bd60 3a5a40 274c77 6096ba"
)
SKIN_COLOURS = _colours("f9d9c0 f1c7a5 e3ab82 cf9467 b57a4c 935b36 70422a 523024")
HAIR_COLOURS = _colours("1c1714 33231a 5a3825 8a5a33 c08a4b e0b976 a23e22 6e6a68 d6d0c8")
DENIM_BLUES = _colours("34557f 27425f 5b82ab 22344d 7a9cbf")
CANDIDATES = 4  # colours compared for each choice


def difference(one: Colour, other: Colour) -> float:
    """Perceived difference (CIE 1976): about 2 is just visible, black to white is 100."""
    return math.dist(_lab(one), _lab(other))


@lru_cache(maxsize=4096)
def _lab(colour: Colour) -> tuple[float, float, float]:
    lightness, a, b = rgb2lab(np.asarray(colour)).tolist()
    return lightness, a, b


def choose_colour(rng: np.random.Generator, avoid: Sequence[Colour]) -> Colour:
    """The most different from all colours in `avoid` out of a few palette colours."""
    return _most_different(rng, FABRIC_COLOURS, CANDIDATES, avoid)


def _most_different(
    rng: np.random.Generator, palette: Sequence[Colour], candidates: int, avoid: Sequence[Colour]
) -> Colour:
    colours = [palette[number] for number in rng.choice(len(palette), candidates, replace=False)]
    return max(colours, key=lambda colour: min((difference(colour, other) for other in avoid), default=0.0))


def choose_fabric(
    rng: np.random.Generator, kinds: Sequence[str], avoid: Sequence[Colour], period: float = 0.045
) -> Texture:
    """A fabric of one of `kinds`, with a base colour unlike those in `avoid` and a clearly visible pattern."""
    kind = pick(rng, kinds)
    if kind == "denim":
        base = _most_different(rng, DENIM_BLUES, 3, avoid)
        accent = lighter(base, 0.5)
    else:
        base = choose_colour(rng, avoid)
        accent = _accent(rng, kind, base)
    angle = float(rng.normal(0.0, 0.04))
    if kind in ("stripe", "gradient") and rng.random() < 0.25:
        angle += math.pi / 4
    return Texture(kind, base, accent, period * float(rng.uniform(0.85, 1.25)), angle, float(rng.random()))


def _accent(rng: np.random.Generator, kind: str, base: Colour) -> Colour:
    lightness = _lab(base)[0]
    if kind in ("plain", "melange", "knit"):
        return darker(base, 0.32) if lightness > 45 else lighter(base, 0.28)
    if kind == "camouflage":
        return darker(base, 0.55)
    if rng.random() < 0.5:
        return lighter(base, 0.85) if lightness < 65 else darker(base, 0.65)
    return mix(choose_colour(rng, [base]), base, 0.1)
