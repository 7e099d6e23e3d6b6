"""Tops, shirts, jackets, coats and dresses, painted on the figure with their parts."""

from __future__ import annotations

import numpy as np

from fashionseg.sample.canvas import Canvas
from fashionseg.sample.cuts import (
    A_LINE,
    ABOVE_THE_HIP,
    ABOVE_THE_KNEE,
    BELOW_THE_KNEE,
    DOUBLE_BREASTED,
    FIT_AND_FLARE,
    HIP_LENGTH,
    KNEE,
    LOOSE_FIT,
    MIDI,
    MINI,
    NO_OPENING,
    NO_WAISTLINE,
    NORMAL_WAIST,
    REGULAR_FIT,
    SINGLE_BREASTED,
    STRAIGHT,
    TIGHT_FIT,
    ZIP_UP,
    UpperCut,
)
from fashionseg.sample.figures import CHEST_Y, HIP_Y, SHOULDER_Y, SIDES, WAIST_Y, Body
from fashionseg.sample.geometry import Points, rounded_box, smooth
from fashionseg.sample.parts import (
    draw_buttons,
    draw_collar,
    draw_hem,
    draw_neckline,
    draw_pocket,
    draw_side_pockets,
    draw_skirt_folds,
    draw_sleeves,
    draw_torso_folds,
)
from fashionseg.sample.textures import lighter

SHIRT, TOP, JACKET, COAT, DRESS = 0, 1, 4, 9, 10


def draw_top(canvas: Canvas, body: Body, cut: UpperCut) -> None:
    """A t-shirt, sweatshirt or top with a ribbed neckline."""
    fit = LOOSE_FIT if cut.ease > 0.014 else REGULAR_FIT
    top = canvas.add(TOP, cut.attributes(ABOVE_THE_HIP, NO_OPENING, fit, NO_WAISTLINE))
    patch = canvas.fill([_torso_outline(body, cut)], cut.fabric, (top,))
    draw_torso_folds(canvas, body, patch, cut.hem)
    draw_hem(canvas, body, patch, cut.hem)
    draw_neckline(canvas, body, cut, top, patch)
    draw_sleeves(canvas, body, cut, top)


def draw_shirt(canvas: Canvas, body: Body, cut: UpperCut) -> None:
    """A shirt with collar, button placket and breast pocket."""
    shirt = canvas.add(SHIRT, cut.attributes(HIP_LENGTH, SINGLE_BREASTED, REGULAR_FIT, NO_WAISTLINE))
    patch = canvas.fill([_torso_outline(body, cut)], cut.fabric, (shirt,))
    draw_torso_folds(canvas, body, patch, cut.hem)
    draw_hem(canvas, body, patch, cut.hem)
    band = body.place(rounded_box(-0.014, 0.17, 0.014, cut.hem + 0.03, 0.004))
    canvas.fill([band], cut.fabric.shade(0.1), None, within=patch, relief=0.5, ink=0.8)
    heights = np.arange(0.245, cut.hem - 0.01, 0.042)
    draw_buttons(canvas, body, patch, heights, (0.0,), lighter(cut.trim.base, 0.7))
    draw_pocket(canvas, body, cut.fabric, shirt, (0.02, 0.265, 0.087, 0.342), patch)
    draw_sleeves(canvas, body, cut, shirt)
    wing = [(0.0, 0.196), (0.03, 0.156), (0.066, 0.176), (0.082, 0.222), (0.042, 0.25)]
    draw_collar(canvas, cut, shirt, wing)


def draw_jacket(canvas: Canvas, body: Body, cut: UpperCut) -> None:
    """A short open jacket with collar, two pockets and a ribbed hem."""
    jacket = canvas.add(JACKET, cut.attributes(ABOVE_THE_HIP, ZIP_UP, REGULAR_FIT, NO_WAISTLINE))
    patch = canvas.fill(_open_panels(body, cut, 0.03, 0.046), cut.fabric, (jacket,))
    draw_torso_folds(canvas, body, patch, cut.hem)
    rib = body.place(np.array([(-0.3, cut.hem - 0.024), (0.3, cut.hem - 0.024), (0.3, 0.7), (-0.3, 0.7)]))
    canvas.fill([rib], cut.trim, None, within=patch, relief=0.5)
    for side in SIDES:
        zipper = body.place([(side * 0.047, 0.2), (side * 0.036, 0.3), (side * 0.05, cut.hem)])
        canvas.stroke(zipper, 0.006, -0.55, patch, soft=False)
    draw_side_pockets(canvas, body, cut.fabric, jacket, (0.052, 0.345, 0.114, 0.418), patch)
    draw_sleeves(canvas, body, cut, jacket, cuffs=True)
    wing = [(0.03, 0.16), (0.07, 0.172), (0.105, 0.215), (0.06, 0.268), (0.036, 0.222)]
    draw_collar(canvas, cut, jacket, wing, cut.trim)


def draw_coat(canvas: Canvas, body: Body, cut: UpperCut, is_open: bool) -> None:
    """A long coat with a shawl collar and two large pockets, open or double breasted."""
    length = KNEE if cut.hem < 0.76 else BELOW_THE_KNEE
    opening = SINGLE_BREASTED if is_open else DOUBLE_BREASTED
    coat = canvas.add(COAT, cut.attributes(length, opening, STRAIGHT, LOOSE_FIT, NO_WAISTLINE))
    shape = _open_panels(body, cut, 0.034, 0.062) if is_open else [_torso_outline(body, cut)]
    patch = canvas.fill(shape, cut.fabric, (coat,))
    draw_torso_folds(canvas, body, patch, HIP_Y)
    draw_skirt_folds(canvas, body, patch, (0.1, HIP_Y + 0.04), (0.17, cut.hem), 4)
    if not is_open:
        edge = body.place([(0.03, 0.3), (0.032, HIP_Y), (0.036, cut.hem)])
        canvas.stroke(edge, 0.003, 0.55, patch, soft=False)
        draw_buttons(canvas, body, patch, np.arange(0.36, 0.56, 0.058), (-0.03, 0.016), cut.trim.base, 0.0105)
    draw_side_pockets(canvas, body, cut.fabric, coat, (0.062, 0.475, 0.135, 0.56), patch)
    draw_sleeves(canvas, body, cut, coat)
    bottom = 0.4 if is_open else 0.335
    inner = 0.036 if is_open else 0.004
    wing = [(0.03, 0.155), (0.03, 0.155), (0.075, 0.17), (0.1, 0.23), (0.07, 0.3)]
    wing += [(inner, bottom), (inner, bottom), (0.03, 0.25)]
    draw_collar(canvas, cut, coat, smooth(wing))


def draw_dress(canvas: Canvas, body: Body, cut: UpperCut, flare: float) -> None:
    """A fitted bodice over a skirt that widens to `flare` (half width at the hem)."""
    length = MINI if cut.hem < 0.64 else ABOVE_THE_KNEE if cut.hem < 0.72 else MIDI
    shape = FIT_AND_FLARE if flare > 0.15 else A_LINE
    dress = canvas.add(DRESS, cut.attributes(length, NO_OPENING, shape, TIGHT_FIT, NORMAL_WAIST))
    patch = canvas.fill([_dress_outline(body, cut, flare)], cut.fabric, (dress,))
    draw_torso_folds(canvas, body, patch, WAIST_Y)
    draw_skirt_folds(canvas, body, patch, (body.waist * 0.8, WAIST_Y + 0.02), (flare * 0.9, cut.hem), 7)
    draw_hem(canvas, body, patch, cut.hem)
    waist = body.place([(-0.2, WAIST_Y), (0.0, WAIST_Y + 0.008), (0.2, WAIST_Y)])
    canvas.stroke(waist, 0.01, 0.4, patch)
    draw_neckline(canvas, body, cut, dress, patch)
    draw_sleeves(canvas, body, cut, dress)


def _torso_outline(body: Body, cut: UpperCut) -> Points:
    """Outline from neck to hem, straight below the hips."""
    loose = 0.012 + cut.ease
    waist = body.waist + 0.010 + 1.6 * cut.ease
    half = [
        *[(0.052, 0.176), (0.052, 0.176), (body.shoulder + 0.002, SHOULDER_Y - 0.006)],
        *[(body.shoulder + 0.018, 0.235), (body.chest + loose, CHEST_Y), (waist, WAIST_Y)],
    ]
    if cut.hem > HIP_Y - 0.03:
        half.append((body.hip + loose, min(HIP_Y, cut.hem)))
    hem_width = body.hip + loose + 0.20 * max(cut.hem - HIP_Y, 0.0)
    half += [(hem_width, cut.hem), (hem_width, cut.hem)]
    return body.torso([*half, (0.0, cut.hem + 0.008)])


def _dress_outline(body: Body, cut: UpperCut, flare: float) -> Points:
    half = [
        *[(0.056, 0.178), (0.056, 0.178), (body.shoulder - 0.004, SHOULDER_Y - 0.004)],
        *[(body.shoulder + 0.006, 0.235), (body.chest + 0.009, CHEST_Y), (body.waist + 0.003, WAIST_Y)],
        *[(body.waist + 0.003, WAIST_Y), (body.hip + 0.4 * (flare - body.hip) + 0.01, HIP_Y + 0.01)],
        *[(flare, cut.hem - 0.004), (flare, cut.hem), (0.0, cut.hem + 0.014)],
    ]
    return body.torso(half)


def _open_panels(body: Body, cut: UpperCut, gap_top: float, gap_hem: float) -> list[Points]:
    """The two front halves of an open garment, at the distances `gap_*` from the middle line."""
    outline = cut.hem + 0.004
    loose, hem_width = 0.014 + cut.ease, body.hip + 0.014 + cut.ease + 0.22 * max(cut.hem - HIP_Y, 0.0)
    panels = []
    for side in SIDES:
        edge = [
            *[(0.038, 0.165), (0.06, 0.172), (body.shoulder + 0.004, SHOULDER_Y - 0.006)],
            *[(body.shoulder + 0.02, 0.235), (body.chest + loose, CHEST_Y)],
            (body.waist + loose + 0.01, WAIST_Y),
            *[(hem_width, cut.hem), (hem_width, cut.hem), (gap_hem, outline), (gap_hem, outline)],
            *[(gap_top, 0.3), (gap_top + 0.008, 0.2)],
        ]
        panels.append(body.place(smooth([(side * x, y) for x, y in edge])))
    return panels
