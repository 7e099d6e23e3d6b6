"""Tops, shirts, jackets, coats and dresses with their sleeves, necklines, collars and pockets.

Each function paints a garment on the figure and adds its instances; parts belong to the garment as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fashionseg.data.sample.canvas import Canvas, Patch
from fashionseg.data.sample.figures import (
    ARM_RADII,
    CHEST_Y,
    HIP_Y,
    SHOULDER_Y,
    SIDES,
    WAIST_Y,
    Body,
    draw_arm,
)
from fashionseg.data.sample.geometry import Points, along, ellipse, limb, mirrored, rounded_box, smooth
from fashionseg.data.sample.textures import PATTERN_ATTRIBUTES, Colour, Texture, darker, lighter

SHIRT, TOP, JACKET, COAT, DRESS = 0, 1, 4, 9, 10
COLLAR, SLEEVE, POCKET, NECKLINE = 28, 31, 32, 33

# Attributes, by the names of the taxonomy.
ABOVE_THE_HIP, HIP_LENGTH, MINI, ABOVE_THE_KNEE, KNEE, BELOW_THE_KNEE, MIDI = 0, 1, 3, 4, 5, 6, 7
SINGLE_BREASTED, DOUBLE_BREASTED, ZIP_UP, FLY, NO_OPENING = 10, 11, 14, 15, 18
SYMMETRICAL, FIT_AND_FLARE, STRAIGHT, A_LINE = 20, 24, 33, 34
TIGHT_FIT, REGULAR_FIT, LOOSE_FIT = 40, 41, 42
HIGH_WAIST, NORMAL_WAIST, NO_WAISTLINE = 87, 88, 91

LONG, THREE_QUARTER, SHORT = 0.985, 0.66, 0.37  # of the arm covered by the sleeve


@dataclass(frozen=True)
class Cut:
    """What one upper garment looks like. `sleeve` is the covered part of the arm, 0: sleeveless."""

    fabric: Texture
    trim: Texture
    sleeve: float
    ease: float
    hem: float
    neck: str = "round"  # round | v | boat
    is_annotated: bool = False  # with attributes

    def attributes(self, *ids: int) -> tuple[int, ...]:
        if not self.is_annotated:
            return ()
        return tuple(sorted({*ids, SYMMETRICAL, *PATTERN_ATTRIBUTES[self.fabric.kind]}))


def draw_top(canvas: Canvas, body: Body, cut: Cut) -> None:
    """A t-shirt, sweatshirt or top with a ribbed neckline."""
    fit = LOOSE_FIT if cut.ease > 0.014 else REGULAR_FIT
    top = canvas.add(TOP, cut.attributes(ABOVE_THE_HIP, NO_OPENING, fit, NO_WAISTLINE))
    patch = canvas.fill([_torso_outline(body, cut)], cut.fabric, (top,))
    _torso_folds(canvas, body, patch, cut.hem)
    _hem(canvas, body, patch, cut, cut.hem)
    _draw_neckline(canvas, body, cut, top, patch)
    draw_sleeves(canvas, body, cut, top)


def draw_shirt(canvas: Canvas, body: Body, cut: Cut) -> None:
    """A shirt with collar, button placket and breast pocket."""
    shirt = canvas.add(SHIRT, cut.attributes(HIP_LENGTH, SINGLE_BREASTED, REGULAR_FIT, NO_WAISTLINE))
    patch = canvas.fill([_torso_outline(body, cut)], cut.fabric, (shirt,))
    _torso_folds(canvas, body, patch, cut.hem)
    _hem(canvas, body, patch, cut, cut.hem)
    band = body.place(rounded_box(-0.014, 0.17, 0.014, cut.hem + 0.03, 0.004))
    canvas.fill([band], cut.fabric.shade(0.1), None, within=patch, relief=0.5, ink=0.8)
    _buttons(
        canvas, body, patch, np.arange(0.245, cut.hem - 0.01, 0.042), (0.0,), lighter(cut.trim.base, 0.7)
    )
    _draw_pocket(canvas, body, cut, shirt, (0.02, 0.265, 0.087, 0.342), patch)
    draw_sleeves(canvas, body, cut, shirt)
    wings = [
        np.array(
            [(s * 0.0, 0.196), (s * 0.03, 0.156), (s * 0.066, 0.176), (s * 0.082, 0.222), (s * 0.042, 0.25)]
        )
        for s in SIDES
    ]
    _draw_collar(canvas, cut, shirt, wings)


def draw_jacket(canvas: Canvas, body: Body, cut: Cut) -> None:
    """A short open jacket with collar, two pockets and a ribbed hem; what lies below stays visible between."""
    jacket = canvas.add(JACKET, cut.attributes(ABOVE_THE_HIP, ZIP_UP, REGULAR_FIT, NO_WAISTLINE))
    patch = canvas.fill(_open_panels(body, cut, 0.03, 0.046), cut.fabric, (jacket,))
    _torso_folds(canvas, body, patch, cut.hem)
    rib = body.place(np.array([(-0.3, cut.hem - 0.024), (0.3, cut.hem - 0.024), (0.3, 0.7), (-0.3, 0.7)]))
    canvas.fill([rib], cut.trim, None, within=patch, relief=0.5)
    for side in SIDES:
        zipper = body.place([(side * 0.047, 0.2), (side * 0.036, 0.3), (side * 0.05, cut.hem)])
        canvas.stroke(zipper, 0.006, -0.55, patch, soft=False)
        x1, x2 = sorted((side * 0.052, side * 0.114))
        _draw_pocket(canvas, body, cut, jacket, (x1, 0.345, x2, 0.418), patch)
    draw_sleeves(canvas, body, cut, jacket, cuffs=True)
    wings = [
        np.array(
            [(s * 0.03, 0.16), (s * 0.07, 0.172), (s * 0.105, 0.215), (s * 0.06, 0.268), (s * 0.036, 0.222)]
        )
        for s in SIDES
    ]
    _draw_collar(canvas, cut, jacket, wings, cut.trim)


def draw_coat(canvas: Canvas, body: Body, cut: Cut, is_open: bool) -> None:
    """A long coat with a shawl collar and two large pockets, open or double breasted."""
    length = KNEE if cut.hem < 0.76 else BELOW_THE_KNEE
    opening = SINGLE_BREASTED if is_open else DOUBLE_BREASTED
    coat = canvas.add(COAT, cut.attributes(length, opening, STRAIGHT, LOOSE_FIT, NO_WAISTLINE))
    shape = _open_panels(body, cut, 0.034, 0.062) if is_open else [_torso_outline(body, cut)]
    patch = canvas.fill(shape, cut.fabric, (coat,))
    _torso_folds(canvas, body, patch, HIP_Y)
    _skirt_folds(canvas, body, patch, 0.1, HIP_Y + 0.04, 0.17, cut.hem, 4)
    if not is_open:
        edge = body.place([(0.03, 0.3), (0.032, HIP_Y), (0.036, cut.hem)])
        canvas.stroke(edge, 0.003, 0.55, patch, soft=False)
        _buttons(canvas, body, patch, np.arange(0.36, 0.56, 0.058), (-0.03, 0.016), cut.trim.base, 0.0105)
    for side in SIDES:
        x1, x2 = sorted((side * 0.062, side * 0.135))
        _draw_pocket(canvas, body, cut, coat, (x1, 0.475, x2, 0.56), patch)
    draw_sleeves(canvas, body, cut, coat)
    bottom = 0.4 if is_open else 0.335
    inner = 0.036 if is_open else 0.004
    wings = [
        smooth(
            [
                *[(s * 0.03, 0.155), (s * 0.03, 0.155), (s * 0.075, 0.17), (s * 0.1, 0.23), (s * 0.07, 0.3)],
                *[(s * inner, bottom), (s * inner, bottom), (s * 0.03, 0.25)],
            ]
        )
        for s in SIDES
    ]
    _draw_collar(canvas, cut, coat, wings)


def draw_dress(canvas: Canvas, body: Body, cut: Cut, flare: float) -> None:
    """A fitted bodice over a skirt that opens to `flare` (half width at the hem)."""
    length = MINI if cut.hem < 0.64 else ABOVE_THE_KNEE if cut.hem < 0.72 else MIDI
    shape = FIT_AND_FLARE if flare > 0.15 else A_LINE
    dress = canvas.add(DRESS, cut.attributes(length, NO_OPENING, shape, TIGHT_FIT, NORMAL_WAIST))
    patch = canvas.fill([_dress_outline(body, cut, flare)], cut.fabric, (dress,))
    _torso_folds(canvas, body, patch, WAIST_Y)
    _skirt_folds(canvas, body, patch, body.waist * 0.8, WAIST_Y + 0.02, flare * 0.9, cut.hem, 7)
    _hem(canvas, body, patch, cut, cut.hem)
    waist = body.place([(-0.2, WAIST_Y), (0.0, WAIST_Y + 0.008), (0.2, WAIST_Y)])
    canvas.stroke(waist, 0.01, 0.4, patch)
    _draw_neckline(canvas, body, cut, dress, patch)
    draw_sleeves(canvas, body, cut, dress)


def draw_sleeves(canvas: Canvas, body: Body, cut: Cut, garment: int, cuffs: bool = False) -> None:
    """Both arms, each in its sleeve; bare ones when the garment has none."""
    for side in SIDES:
        draw_arm(canvas, body, side)
        if cut.sleeve == 0:
            continue
        sleeve = canvas.add(SLEEVE)
        joints = along(body.arms[side], cut.sleeve)
        full = np.interp((0.0, 0.53, 1.0), (0.0, 0.53, 1.0), ARM_RADII)
        ends = np.linspace(0.0, cut.sleeve, len(joints)) if len(joints) == 2 else (0.0, 0.53, cut.sleeve)
        radii = (
            np.interp(ends, (0.0, 0.53, 1.0), full)
            + 0.006
            + np.array([0.2, 0.6, 0.6])[: len(joints)] * cut.ease
        )
        (x1, y1), (x2, y2) = joints[0], joints[-1]
        fabric = cut.fabric.turned(float(np.arctan2(-(x2 - x1), y2 - y1)))
        patch = canvas.fill(limb(joints, radii, round_end=False), fabric, (sleeve, garment))
        _sleeve_folds(canvas, joints, patch)
        end = along(joints[::-1], 0.13 if len(joints) > 2 else 0.2)
        cuff = limb(end, [radii[-1] + 0.02] * len(end), round_end=False)
        trim = cut.trim if cuffs else cut.fabric.shade(0.12)
        canvas.fill(cuff, trim, None, within=patch, relief=0.4, ink=0.7)


def _torso_outline(body: Body, cut: Cut) -> Points:
    """From the neck over shoulder, chest and waist to the hem; below the hips it falls straight."""
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


def _dress_outline(body: Body, cut: Cut, flare: float) -> Points:
    half = [
        *[(0.056, 0.178), (0.056, 0.178), (body.shoulder - 0.004, SHOULDER_Y - 0.004)],
        *[(body.shoulder + 0.006, 0.235), (body.chest + 0.009, CHEST_Y), (body.waist + 0.003, WAIST_Y)],
        *[(body.waist + 0.003, WAIST_Y), (body.hip + 0.4 * (flare - body.hip) + 0.01, HIP_Y + 0.01)],
        *[(flare, cut.hem - 0.004), (flare, cut.hem), (0.0, cut.hem + 0.014)],
    ]
    return body.torso(half)


def _open_panels(body: Body, cut: Cut, gap_top: float, gap_hem: float) -> list[Points]:
    """The two front halves of an open garment, `gap_*` from the middle line."""
    outline = cut.hem + 0.004
    loose, hem_width = 0.014 + cut.ease, body.hip + 0.014 + cut.ease + 0.22 * max(cut.hem - HIP_Y, 0.0)
    panels = []
    for side in SIDES:
        edge = [
            *[(0.038, 0.165), (0.06, 0.172), (body.shoulder + 0.004, SHOULDER_Y - 0.006)],
            *[
                (body.shoulder + 0.02, 0.235),
                (body.chest + loose, CHEST_Y),
                (body.waist + loose + 0.01, WAIST_Y),
            ],
            *[(hem_width, cut.hem), (hem_width, cut.hem), (gap_hem, outline), (gap_hem, outline)],
            *[(gap_top, 0.3), (gap_top + 0.008, 0.2)],
        ]
        panels.append(body.place(smooth([(side * x, y) for x, y in edge])))
    return panels


def _draw_neckline(canvas: Canvas, body: Body, cut: Cut, garment: int, patch: Patch) -> None:
    """The opening shows skin; around it lies the neckline, a broad band of trim."""
    corner, depth = {"round": (0.05, 0.222), "v": (0.052, 0.262), "boat": (0.072, 0.206)}[cut.neck]
    tip = [(0.0, depth)] if cut.neck != "v" else [(0.0, depth), (0.0, depth)]
    side = 0.034 if cut.neck != "v" else 0.028
    opening = [(corner, 0.15), (corner, 0.178), (corner * 0.8, 0.178 + 0.55 * (depth - 0.178)), *tip]
    wide = [
        *[(corner + side, 0.15), (corner + side, 0.186)],
        *[(corner * 0.8 + side, 0.2 + 0.6 * (depth - 0.178)), *[(x, y + 0.044) for x, y in tip]],
    ]
    band = canvas.add(NECKLINE)
    canvas.fill([smooth(mirrored(wide))], cut.trim, (band, garment), within=patch, relief=0.5)
    canvas.fill([smooth(mirrored(opening))], darker(body.skin, 0.03), (), within=patch, relief=0.5, ink=1.0)


def _draw_collar(
    canvas: Canvas, cut: Cut, garment: int, wings: list[Points], texture: Texture | None = None
) -> None:
    """Both wings are one collar."""
    collar = canvas.add(COLLAR)
    for wing in wings:
        canvas.fill([wing], texture or cut.fabric.unpatterned(0.16), (collar, garment), relief=0.6, ink=1.3)


def _draw_pocket(
    canvas: Canvas, body: Body, cut: Cut, garment: int, box: tuple[float, float, float, float], patch: Patch
) -> None:
    """A patch pocket with a flap; `box` is x1, y1, x2, y2."""
    draw_pocket(canvas, body, cut.fabric, garment, box, patch)


def draw_pocket(
    canvas: Canvas,
    body: Body,
    fabric: Texture,
    garment: int,
    box: tuple[float, float, float, float],
    patch: Patch,
) -> None:
    """A patch pocket with a flap on any garment; `box` is x1, y1, x2, y2."""
    x1, y1, x2, y2 = box
    pocket = canvas.add(POCKET)
    shape = body.place(rounded_box(x1, y1, x2, y2, 0.012))
    cloth = canvas.fill(
        [shape], fabric.unpatterned(0.24), (pocket, garment), within=patch, relief=0.6, ink=1.3
    )
    flap = body.place(
        np.array([(x1, y1), (x2, y1), (x2, y1 + 0.02), ((x1 + x2) / 2, y1 + 0.03), (x1, y1 + 0.02)])
    )
    canvas.fill([flap], fabric.unpatterned(0.1), None, within=cloth, relief=0.3, ink=1.2)


def _buttons(
    canvas: Canvas,
    body: Body,
    patch: Patch,
    heights: np.ndarray,
    columns: tuple[float, ...],
    colour: Colour,
    radius: float = 0.0065,
) -> None:
    for y in heights:
        for x in columns:
            spot = body.place(ellipse(x, float(y), radius, radius, n=16))
            canvas.fill([spot], colour, None, within=patch, relief=0.4, ink=0.8)


def _hem(canvas: Canvas, body: Body, patch: Patch, cut: Cut, y: float) -> None:
    line = body.place([(-0.3, y - 0.014), (0.0, y - 0.006), (0.3, y - 0.014)])
    canvas.stroke(line, 0.002, 0.35, patch, soft=False)


def _torso_folds(canvas: Canvas, body: Body, patch: Patch, hem: float) -> None:
    """Creases from the armpits and round the waist, the same for all bodies."""
    for side in SIDES:
        armpit = [(side * 0.105, 0.262), (side * 0.08, 0.285), (side * 0.045, 0.295)]
        canvas.stroke(body.place(smooth(armpit, closed=False)), 0.005, 0.25, patch)
        drop = [(side * 0.075, hem), (side * 0.068, hem - 0.05), (side * 0.08, hem - 0.1)]
        canvas.stroke(body.place(smooth(drop, closed=False)), 0.006, 0.22, patch)
        tuck = [(side * 0.1, WAIST_Y - 0.022), (side * 0.06, WAIST_Y - 0.01), (side * 0.04, WAIST_Y - 0.016)]
        canvas.stroke(body.place(smooth(tuck, closed=False)), 0.004, 0.22, patch)


def _skirt_folds(
    canvas: Canvas,
    body: Body,
    patch: Patch,
    top_half: float,
    top: float,
    hem_half: float,
    hem: float,
    count: int,
) -> None:
    """Falling folds that open downwards, dark and light by turns."""
    draw_skirt_folds(canvas, body, patch, (top_half, top), (hem_half, hem), count)


def draw_skirt_folds(
    canvas: Canvas, body: Body, patch: Patch, top: tuple[float, float], hem: tuple[float, float], count: int
) -> None:
    """`top` and `hem` are half width and height (y) of the cloth there."""
    for number in range(count):
        share = (number + 0.5) / count * 2 - 1
        start = top[1] + 0.03 * ((number * 5) % 3)
        curve = [
            (share * top[0], start),
            (share * (top[0] + 0.3 * (hem[0] - top[0])), 0.6 * start + 0.4 * hem[1]),
        ]
        points = body.place(smooth([*curve, (share * hem[0], hem[1])], closed=False))
        canvas.stroke(points, 0.007, 0.3, patch)
        canvas.stroke(points + np.array([0.012, 0.0]), 0.006, -0.12, patch)


def _sleeve_folds(canvas: Canvas, joints: list[tuple[float, float]], patch: Patch) -> None:
    """Creases across the elbow."""
    if len(joints) < 3:
        return
    elbow, wrist = np.array(joints[1]), np.array(joints[2])
    shoulder = np.array(joints[0])
    axis = (wrist - shoulder) / max(float(np.linalg.norm(wrist - shoulder)), 1e-6)
    across = np.array([-axis[1], axis[0]])
    for shift in (-0.018, 0.0, 0.02):
        middle = elbow + shift * axis
        crease = np.array([middle - 0.03 * across, middle + 0.006 * axis, middle + 0.012 * across])
        canvas.stroke(smooth(crease, closed=False), 0.004, 0.25, patch)
