"""The cut of a garment: fabric, lengths and style, and the attributes that follow from them."""

from __future__ import annotations

from dataclasses import dataclass

from fashionseg.sample.textures import PATTERN_ATTRIBUTES, Texture

# Attributes, by the names of the taxonomy.
ABOVE_THE_HIP, HIP_LENGTH, MINI, ABOVE_THE_KNEE = 0, 1, 3, 4
KNEE, BELOW_THE_KNEE, MIDI, FLOOR_LENGTH = 5, 6, 7, 9
SINGLE_BREASTED, DOUBLE_BREASTED, ZIP_UP, FLY, NO_OPENING = 10, 11, 14, 15, 18
SYMMETRICAL, FIT_AND_FLARE, PENCIL, STRAIGHT, A_LINE, WIDE_LEG = 20, 24, 32, 33, 34, 37
TIGHT_FIT, REGULAR_FIT, LOOSE_FIT = 40, 41, 42
HIGH_WAIST, NORMAL_WAIST, NO_WAISTLINE = 87, 88, 91

LONG, THREE_QUARTER, SHORT = 0.985, 0.66, 0.37  # fraction of the arm covered by the sleeve


@dataclass(frozen=True)
class Cut:
    """The cut of any garment. `hem` is the y of the hem; `is_annotated`: the garment has attributes."""

    fabric: Texture
    hem: float
    is_annotated: bool

    def attributes(self, *ids: int) -> tuple[int, ...]:
        """`ids` and the attributes of the fabric, ascending; none for a garment without annotated attributes."""
        if not self.is_annotated:
            return ()
        return tuple(sorted({*ids, SYMMETRICAL, *PATTERN_ATTRIBUTES[self.fabric.kind]}))


@dataclass(frozen=True)
class UpperCut(Cut):
    """`sleeve` is the covered fraction of the arm, 0: sleeveless; `neck` is `round`, `v` or `boat`."""

    trim: Texture
    sleeve: float
    ease: float
    neck: str


@dataclass(frozen=True)
class LowerCut(Cut):
    """`style` is a key of `lowers.PANTS_CUTS`, or `a-line`, `pencil`, `pleated` for a skirt."""

    style: str
    has_pockets: bool
