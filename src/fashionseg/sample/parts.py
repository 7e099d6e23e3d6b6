"""Garment parts (sleeves, necklines, collars, pockets) and details (buttons, hems, folds).

A part is an instance, and its pixels also belong to the garment.
"""

from __future__ import annotations

import numpy as np

from fashionseg.sample.canvas import Canvas, Patch
from fashionseg.sample.cuts import UpperCut
from fashionseg.sample.figures import ARM_RADII, SIDES, WAIST_Y, Body, draw_arm
from fashionseg.sample.geometry import Path, along, curve, ellipse, limb, rounded_box, symmetric
from fashionseg.sample.textures import Colour, Texture, darker

COLLAR, SLEEVE, POCKET, NECKLINE = 28, 31, 32, 33


def draw_sleeves(canvas: Canvas, body: Body, cut: UpperCut, garment: int, cuffs: bool = False) -> None:
    """Both arms with their sleeves; bare arms for a sleeveless garment."""
    for side in SIDES:
        draw_arm(canvas, body, side)
        if cut.sleeve == 0:
            continue
        sleeve = canvas.add(SLEEVE)
        joints = along(body.arms[side], cut.sleeve)
        full = np.interp((0.0, 0.53, 1.0), (0.0, 0.53, 1.0), ARM_RADII)
        ends = np.linspace(0.0, cut.sleeve, len(joints)) if len(joints) == 2 else (0.0, 0.53, cut.sleeve)
        ease = np.array([0.2, 0.6, 0.6])[: len(joints)] * cut.ease
        radii = np.interp(ends, (0.0, 0.53, 1.0), full) + 0.006 + ease
        (x1, y1), (x2, y2) = joints[0], joints[-1]
        fabric = cut.fabric.turned(float(np.arctan2(-(x2 - x1), y2 - y1)))
        patch = canvas.fill(limb(joints, radii, round_end=False), fabric, (sleeve, garment))
        _sleeve_folds(canvas, joints, patch)
        end = along(joints[::-1], 0.13 if len(joints) > 2 else 0.2)
        cuff = limb(end, [radii[-1] + 0.02] * len(end), round_end=False)
        trim = cut.trim if cuffs else cut.fabric.shade(0.12)
        canvas.fill(cuff, trim, None, within=patch, relief=0.4, ink=0.7)


def draw_neckline(canvas: Canvas, body: Body, cut: UpperCut, garment: int, patch: Patch) -> None:
    """The neckline, a broad band of trim around an opening that shows skin."""
    corner, depth = {"round": (0.05, 0.222), "v": (0.052, 0.262), "boat": (0.072, 0.206)}[cut.neck]
    tip = [(0.0, depth)] if cut.neck != "v" else [(0.0, depth), (0.0, depth)]
    side = 0.034 if cut.neck != "v" else 0.028
    opening = [(corner, 0.15), (corner, 0.178), (corner * 0.8, 0.178 + 0.55 * (depth - 0.178)), *tip]
    wide = [
        *[(corner + side, 0.15), (corner + side, 0.186)],
        *[(corner * 0.8 + side, 0.2 + 0.6 * (depth - 0.178)), *[(x, y + 0.044) for x, y in tip]],
    ]
    band = canvas.add(NECKLINE)
    canvas.fill([symmetric(wide)], cut.trim, (band, garment), within=patch, relief=0.5)
    canvas.fill([symmetric(opening)], darker(body.skin, 0.03), (), within=patch, relief=0.5, ink=1.0)


def draw_collar(
    canvas: Canvas, cut: UpperCut, garment: int, right_wing: Path, texture: Texture | None = None
) -> None:
    """A collar of two symmetric wings, one instance."""
    collar = canvas.add(COLLAR)
    for side in SIDES:
        wing = np.asarray(right_wing) * (side, 1.0)
        canvas.fill([wing], texture or cut.fabric.unpatterned(0.16), (collar, garment), relief=0.6, ink=1.3)


def draw_pocket(
    canvas: Canvas,
    body: Body,
    fabric: Texture,
    garment: int,
    box: tuple[float, float, float, float],
    patch: Patch,
) -> None:
    """A patch pocket with a flap; `box` is x1, y1, x2, y2."""
    x1, y1, x2, y2 = box
    pocket = canvas.add(POCKET)
    shape = body.place(rounded_box(x1, y1, x2, y2, 0.012))
    plain = fabric.unpatterned(0.24)
    cloth = canvas.fill([shape], plain, (pocket, garment), within=patch, relief=0.6, ink=1.3)
    flap = body.place([(x1, y1), (x2, y1), (x2, y1 + 0.02), ((x1 + x2) / 2, y1 + 0.03), (x1, y1 + 0.02)])
    canvas.fill([flap], fabric.unpatterned(0.1), None, within=cloth, relief=0.3, ink=1.2)


def draw_side_pockets(
    canvas: Canvas,
    body: Body,
    fabric: Texture,
    garment: int,
    box: tuple[float, float, float, float],
    patch: Patch,
) -> None:
    """A pocket on each side; `box` as in `draw_pocket`, for the right side."""
    inner, y1, outer, y2 = box
    for side in SIDES:
        x1, x2 = sorted((side * inner, side * outer))
        draw_pocket(canvas, body, fabric, garment, (x1, y1, x2, y2), patch)


def draw_buttons(
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


def draw_hem(canvas: Canvas, body: Body, patch: Patch, y: float) -> None:
    line = body.place([(-0.3, y - 0.014), (0.0, y - 0.006), (0.3, y - 0.014)])
    canvas.stroke(line, 0.002, 0.35, patch, soft=False)


def draw_torso_folds(canvas: Canvas, body: Body, patch: Patch, hem: float) -> None:
    """Creases at the armpits and the waist, the same for all bodies."""
    for side in SIDES:
        armpit = curve((side * 0.105, 0.262), (side * 0.08, 0.285), (side * 0.045, 0.295))
        canvas.stroke(body.place(armpit), 0.005, 0.25, patch)
        drop = curve((side * 0.075, hem), (side * 0.068, hem - 0.05), (side * 0.08, hem - 0.1))
        canvas.stroke(body.place(drop), 0.006, 0.22, patch)
        y = WAIST_Y
        tuck = curve((side * 0.1, y - 0.022), (side * 0.06, y - 0.01), (side * 0.04, y - 0.016))
        canvas.stroke(body.place(tuck), 0.004, 0.22, patch)


def draw_skirt_folds(
    canvas: Canvas, body: Body, patch: Patch, top: tuple[float, float], hem: tuple[float, float], count: int
) -> None:
    """`count` folds; `top` and `hem` are half width and y of the cloth at both ends."""
    for number in range(count):
        share = (number + 0.5) / count * 2 - 1
        start = top[1] + 0.03 * ((number * 5) % 3)
        middle = (share * (top[0] + 0.3 * (hem[0] - top[0])), 0.6 * start + 0.4 * hem[1])
        points = body.place(curve((share * top[0], start), middle, (share * hem[0], hem[1])))
        canvas.stroke(points, 0.007, 0.3, patch)
        canvas.stroke(points + np.array([0.012, 0.0]), 0.006, -0.12, patch)


def _sleeve_folds(canvas: Canvas, joints: list[tuple[float, float]], patch: Patch) -> None:
    """Creases across the elbow."""
    if len(joints) < 3:
        return
    shoulder, elbow, wrist = (np.array(joint) for joint in joints)
    axis = (wrist - shoulder) / max(float(np.linalg.norm(wrist - shoulder)), 1e-6)
    across = np.array([-axis[1], axis[0]])
    for shift in (-0.018, 0.0, 0.02):
        middle = elbow + shift * axis
        crease = curve(middle - 0.03 * across, middle + 0.006 * axis, middle + 0.012 * across)
        canvas.stroke(crease, 0.004, 0.25, patch)
