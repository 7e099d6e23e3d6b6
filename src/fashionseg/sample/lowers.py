"""Pants, shorts, skirts and tights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fashionseg.sample.canvas import Canvas, Patch
from fashionseg.sample.cuts import (
    A_LINE,
    ABOVE_THE_KNEE,
    FLOOR_LENGTH,
    FLY,
    HIGH_WAIST,
    LOOSE_FIT,
    MIDI,
    MINI,
    NORMAL_WAIST,
    PENCIL,
    REGULAR_FIT,
    STRAIGHT,
    TIGHT_FIT,
    WIDE_LEG,
    LowerCut,
)
from fashionseg.sample.figures import ANKLE_Y, CROTCH_Y, HIP_Y, KNEE_Y, LEG_RADII, SIDES, WAIST_Y, Body
from fashionseg.sample.geometry import Shape, along, curve, limb
from fashionseg.sample.parts import draw_pocket, draw_side_pockets, draw_skirt_folds
from fashionseg.sample.textures import Texture

PANTS, SHORTS, SKIRT, TIGHTS = 6, 7, 8, 21

# Added to the radius of the leg at hip, knee and ankle.
PANTS_CUTS = {
    "skinny": (0.006, 0.008, 0.009),
    "straight": (0.010, 0.018, 0.026),
    "wide": (0.014, 0.030, 0.044),
    "flare": (0.006, 0.010, 0.044),
}
PANTS_SILHOUETTE = {"skinny": TIGHT_FIT, "straight": STRAIGHT, "wide": WIDE_LEG, "flare": LOOSE_FIT}


def draw_pants(canvas: Canvas, body: Body, cut: LowerCut) -> None:
    """Long trousers, one instance."""
    attributes = cut.attributes(FLOOR_LENGTH, FLY, PANTS_SILHOUETTE[cut.style], NORMAL_WAIST)
    pants = canvas.add(PANTS, attributes)
    patch = _draw_legs(canvas, body, cut.fabric, (pants,), PANTS_CUTS[cut.style], 1.0)
    _crotch(canvas, body, patch)
    for side in SIDES:
        knee_x = body.legs[side][1][0]
        for shift in (-0.012, 0.008):
            y = KNEE_Y + shift
            crease = curve((knee_x - 0.03, y), (knee_x, y + 0.008), (knee_x + 0.01, y))
            canvas.stroke(crease, 0.004, 0.25, patch)
        ankle_x = body.legs[side][2][0]
        press = [(body.legs[side][0][0], 0.56), (knee_x, KNEE_Y), (ankle_x, ANKLE_Y)]
        canvas.stroke(press, 0.004, 0.16, patch)
        canvas.stroke([(ankle_x - 0.1, ANKLE_Y - 0.02), (ankle_x + 0.1, ANKLE_Y - 0.02)], 0.002, 0.35, patch)


def draw_shorts(canvas: Canvas, body: Body, cut: LowerCut) -> None:
    """Shorts above the knee, some with cargo pockets."""
    shorts = canvas.add(SHORTS, cut.attributes(ABOVE_THE_KNEE, FLY, REGULAR_FIT, NORMAL_WAIST))
    outer, inner = body.hip + 0.03, 0.014  # the gap between the legs distinguishes shorts from a skirt
    half = [
        *[(body.waist + 0.004, WAIST_Y - 0.008), (body.waist + 0.004, WAIST_Y - 0.008)],
        *[(body.hip + 0.016, HIP_Y), (outer, cut.hem - 0.006), (outer, cut.hem - 0.006)],
        *[(inner, cut.hem), (inner, cut.hem), (0.004, CROTCH_Y + 0.035)],
    ]
    patch = canvas.fill([body.torso(half)], cut.fabric, (shorts,))
    _crotch(canvas, body, patch)
    for side in SIDES:
        x = body.legs[side][0][0]
        canvas.stroke([(x - 0.12, cut.hem - 0.022), (x + 0.12, cut.hem - 0.022)], 0.002, 0.35, patch)
        if cut.has_pockets:
            x1, x2 = sorted((x + side * 0.005, x + side * 0.066))
            draw_pocket(canvas, body, cut.fabric, shorts, (x1, 0.53, x2, 0.6), patch)


def draw_skirt(canvas: Canvas, body: Body, cut: LowerCut) -> None:
    """A skirt from the waist, as wide as the style requires."""
    length = MINI if cut.hem < 0.64 else ABOVE_THE_KNEE if cut.hem < 0.73 else MIDI
    silhouette = PENCIL if cut.style == "pencil" else A_LINE
    skirt = canvas.add(SKIRT, cut.attributes(length, silhouette, HIGH_WAIST))
    spread = {"pencil": 0.02, "a-line": 0.30, "pleated": 0.42}[cut.style]
    hem_half = body.hip + 0.012 + spread * (cut.hem - HIP_Y)
    half = [
        *[(body.waist + 0.006, WAIST_Y - 0.012), (body.waist + 0.006, WAIST_Y - 0.012)],
        *[(body.hip + 0.014, HIP_Y - 0.01), (hem_half, cut.hem), (hem_half, cut.hem), (0.0, cut.hem + 0.012)],
    ]
    patch = canvas.fill([body.torso(half)], cut.fabric, (skirt,))
    folds = {"pencil": 3, "a-line": 5, "pleated": 11}[cut.style]
    top, hem = (body.waist * 0.9, WAIST_Y + 0.03), (hem_half * 0.95, cut.hem)
    draw_skirt_folds(canvas, body, patch, top, hem, folds)
    band = body.place(np.array([(-0.2, WAIST_Y + 0.018), (0.2, WAIST_Y + 0.018), (0.2, 0.3), (-0.2, 0.3)]))
    canvas.fill([band], cut.fabric.shade(0.15), None, within=patch, relief=0.3)
    hem_line = body.place([(-0.3, cut.hem - 0.016), (0.0, cut.hem - 0.004), (0.3, cut.hem - 0.016)])
    canvas.stroke(hem_line, 0.002, 0.35, patch, soft=False)
    if cut.has_pockets:
        draw_side_pockets(canvas, body, cut.fabric, skirt, (0.03, 0.46, 0.096, 0.535), patch)


def draw_tights(canvas: Canvas, body: Body, fabric: Texture) -> None:
    """Tights, one instance."""
    tights = canvas.add(TIGHTS)
    _draw_legs(canvas, body, fabric, (tights,), (0.002, 0.002, 0.004), 1.0, has_feet=True)


def _draw_legs(
    canvas: Canvas,
    body: Body,
    fabric: Texture,
    owners: tuple[int, ...],
    ease: Sequence[float],
    reach: float,
    has_feet: bool = False,
) -> Patch:
    """Pelvis and both legs down to `reach` (1: the ankle or foot) as one piece of cloth."""
    shape: Shape = []
    for side in SIDES:
        joints = along(body.legs[side], reach)
        stops = (0.0, 0.53, reach) if len(joints) == 3 else (0.0, reach)
        radii = np.interp(stops, (0.0, 0.53, 1.0), np.add(LEG_RADII, ease))
        shape += limb(joints, radii, round_end=has_feet)
    pelvis = [
        *[(body.waist + 0.004, WAIST_Y - 0.008), (body.waist + 0.004, WAIST_Y - 0.008)],
        *[(body.hip + 0.5 * ease[0], HIP_Y), (body.hip + ease[0], CROTCH_Y), (0.03, CROTCH_Y + 0.03)],
    ]
    shape.append(body.torso(pelvis))
    return canvas.fill(shape, fabric, owners)


def _crotch(canvas: Canvas, body: Body, patch: Patch) -> None:
    """Waistband, fly and creases at the crotch."""
    band = body.place([(-0.2, WAIST_Y + 0.022), (0.2, WAIST_Y + 0.022)])
    canvas.stroke(band, 0.003, 0.45, patch, soft=False)
    canvas.stroke(body.place([(0.0, WAIST_Y + 0.02), (0.0, CROTCH_Y + 0.04)]), 0.003, 0.5, patch, soft=False)
    for side in SIDES:
        crease = ((0.0, CROTCH_Y + 0.015), (side * 0.03, CROTCH_Y + 0.012), (side * 0.06, CROTCH_Y - 0.005))
        canvas.stroke(body.place(curve(*crease)), 0.005, 0.3, patch)
