"""Shoes, hats, bags and scarves."""

from __future__ import annotations

import numpy as np

from fashionseg.sample.canvas import Canvas
from fashionseg.sample.figures import ANKLE_Y, SIDES, WHITE, Body, draw_hand
from fashionseg.sample.geometry import curve, ellipse, limb, rounded_box, smooth, symmetric
from fashionseg.sample.textures import Texture, darker, hex_colour, lighter

HAT, SHOE, BAG, SCARF = 14, 23, 24, 25
SHOE_STYLES = ("sneaker", "boot", "loafer")
HAT_STYLES = ("fedora", "beanie", "sun hat", "cap")
BAG_STYLES = ("handbag", "tote", "crossbody")
BRASS = hex_colour("d4a843")


def draw_shoes(canvas: Canvas, body: Body, style: str, fabric: Texture) -> None:
    """A pair of shoes, two instances."""
    for side in SIDES:
        shoe = canvas.add(SHOE)
        x, turn = body.legs[side][2][0], abs(body.feet[side])
        toe = 0.05 + 0.045 * turn
        top = {"sneaker": 0.912, "boot": 0.835, "loafer": 0.93}[style]
        collar = 0.03 if style != "boot" else 0.037
        outline = [
            *[(-collar, top), (-collar, top), (collar, top), (collar, top), (0.034, 0.935), (toe, 0.955)],
            *[(toe + 0.014, 0.985), (toe, 0.997), (-0.03, 0.997), (-0.038, 0.985), (-0.033, 0.94)],
        ]
        patch = canvas.fill([smooth([(x + side * a, b) for a, b in outline])], fabric, (shoe,))
        sole = [(x - 0.2, 0.983), (x + 0.2, 0.983), (x + 0.2, 1.1), (x - 0.2, 1.1)]
        sole_colour = WHITE if style == "sneaker" else darker(fabric.base, 0.6)
        canvas.fill([np.array(sole)], sole_colour, None, within=patch, relief=0.3, ink=0.8)
        if style == "sneaker":
            for step in range(3):
                a, b = 0.012 + 0.014 * step, 0.928 + 0.011 * step
                lace = [(x + side * (a - 0.012), b), (x + side * (a + 0.016), b - 0.006)]
                canvas.stroke(lace, 0.004, -0.85, patch, soft=False)
        elif style == "boot":
            shaft = [(x - 0.1, ANKLE_Y + 0.01), (x + 0.1, ANKLE_Y + 0.016)]
            canvas.stroke(shaft, 0.004, 0.35, patch)
            canvas.stroke([(x - 0.1, top + 0.016), (x + 0.1, top + 0.016)], 0.003, 0.4, patch, soft=False)
        else:
            bar = curve((x + side * 0.0, 0.945), (x + side * 0.03, 0.952), (x + side * 0.05, 0.97))
            canvas.stroke(bar, 0.006, 0.45, patch, soft=False)


def draw_hat(canvas: Canvas, style: str, fabric: Texture) -> None:
    """A hat, one instance of brim and crown."""
    hat = canvas.add(HAT)
    band = darker(fabric.base, 0.55)
    if style == "beanie":
        dome = [(0.0, -0.062), (0.05, -0.058), (0.068, -0.01), (0.066, 0.05), (0.0, 0.054)]
        canvas.fill([symmetric(dome)], fabric, (hat,))
        rim = rounded_box(-0.069, 0.022, 0.069, 0.06, 0.012)
        rim_patch = canvas.fill([rim], fabric.shade(0.15), (hat,))
        for x in np.linspace(-0.055, 0.055, 9):
            canvas.stroke([(x, 0.02), (x, 0.06)], 0.003, 0.3, rim_patch, soft=False)
        canvas.fill([ellipse(0.0, -0.066, 0.021, 0.02)], lighter(fabric.base, 0.45), (hat,))
        return
    if style == "cap":
        dome = [(0.0, -0.045), (0.05, -0.042), (0.067, 0.0), (0.066, 0.046), (0.0, 0.05)]
        patch = canvas.fill([symmetric(dome)], fabric, (hat,))
        for x in (-0.022, 0.022):
            seam = curve((0.0, -0.04), (1.5 * x, -0.01), (1.6 * x, 0.05))
            canvas.stroke(seam, 0.003, 0.35, patch, soft=False)
        peak = [(-0.07, 0.036), (0.0, 0.026), (0.07, 0.036), (0.085, 0.056), (0.0, 0.072), (-0.085, 0.056)]
        canvas.fill([smooth(peak)], fabric.shade(0.25), (hat,))
        return
    wide, height = (0.155, -0.052) if style == "sun hat" else (0.108, -0.064)
    brim = [(0.0, 0.022), (0.6 * wide, 0.026), (wide, 0.042), (0.62 * wide, 0.062), (0.0, 0.064)]
    canvas.fill([symmetric(brim)], fabric.shade(0.1), (hat,))
    dent = height + (0.016 if style == "fedora" else -0.004)
    crown = [(0.0, dent), (0.034, height), (0.056, height + 0.02), (0.062, 0.042), (0.0, 0.05)]
    patch = canvas.fill([symmetric(crown)], fabric, (hat,))
    ribbon = [(-0.1, 0.016), (0.0, 0.022), (0.1, 0.016), (0.1, 0.04), (0.0, 0.048), (-0.1, 0.04)]
    canvas.fill([np.array(ribbon)], band, None, within=patch, relief=0.4)


def draw_bag(canvas: Canvas, body: Body, side: int, style: str, fabric: Texture) -> None:
    """A bag in the hand of `side`, or across the body; covers everything behind it."""
    bag = canvas.add(BAG)
    if style == "crossbody":
        strap = body.place([(-side * 0.075, 0.192), (-side * 0.02, 0.3), (side * 0.095, 0.48)])
        canvas.fill(limb(strap, (0.009, 0.009, 0.009)), fabric.shade(0.3), (bag,))
        x, y = side * 0.11 + body.sway, 0.455
        _bag_body(canvas, bag, fabric, (x - 0.078, y, x + 0.078, y + 0.118), flap=0.6)
        return
    x, y = body.hand(side)
    half, depth, drop = (0.078, 0.112, 0.05) if style == "handbag" else (0.082, 0.165, 0.075)
    left, right = (x - 0.045, y + drop + 0.012), (x + 0.045, y + drop + 0.012)
    handle = curve(left, left, (x - 0.032, y + 0.004), (x + 0.032, y + 0.004), right, right)
    canvas.fill(limb(handle, np.full(len(handle), 0.0075)), fabric.shade(0.3), (bag,))
    box = (x - half, y + drop, x + half, y + drop + depth)
    _bag_body(canvas, bag, fabric, box, flap=0.45 if style == "handbag" else 0)
    draw_hand(canvas, body, side)


def _bag_body(
    canvas: Canvas, bag: int, fabric: Texture, box: tuple[float, float, float, float], flap: float
) -> None:
    """The body of the bag; `flap` is the fraction of the height covered by the flap, 0: no flap."""
    x1, y1, x2, y2 = box
    patch = canvas.fill([rounded_box(x1, y1, x2, y2, 0.022)], fabric, (bag,), ink=1.3)
    middle = (x1 + x2) / 2
    if flap:
        lower = y1 + flap * (y2 - y1)
        top, bottom = y1 - 0.02, lower - 0.02
        shape = [(x1, top), (x2, top), (x2, bottom), (middle, lower + 0.012), (x1, bottom)]
        canvas.fill([smooth(shape, rounds=2)], fabric.shade(0.16), None, within=patch, relief=0.4, ink=1.2)
        canvas.fill([ellipse(middle, lower - 0.006, 0.009, 0.009)], BRASS, None, within=patch)
    else:
        canvas.stroke([(x1, y1 + 0.022), (x2, y1 + 0.022)], 0.003, 0.4, patch, soft=False)
        for x in (x1 + 0.035, x2 - 0.035):
            canvas.fill([ellipse(x, y1 + 0.014, 0.006, 0.006)], BRASS, None, within=patch)


def draw_scarf(canvas: Canvas, body: Body, side: int, fabric: Texture) -> None:
    """A scarf around the neck with one end hanging down."""
    scarf = canvas.add(SCARF)
    x = side * 0.036
    tail = [(x, 0.2), (x + side * 0.012, 0.28), (x + side * 0.008, 0.37)]
    shape = limb(tail, (0.03, 0.036, 0.041), round_end=False)
    patch = canvas.fill(shape, fabric.turned(-0.1 * side), (scarf,))
    for shift in (-0.024, -0.008, 0.008, 0.024):
        fringe = [(x + side * 0.008 + shift, 0.345), (x + side * 0.008 + shift, 0.38)]
        canvas.stroke(fringe, 0.004, 0.4, patch, soft=False)
    for dx in (-0.012, 0.012):
        canvas.stroke([(x + dx, 0.21), (x + side * 0.01 + 1.3 * dx, 0.34)], 0.005, 0.25, patch)
    half = [(0.0, 0.147), (0.05, 0.138), (0.088, 0.165), (0.09, 0.2), (0.045, 0.228), (0.0, 0.234)]
    wrap = canvas.fill([symmetric(half)], fabric, (scarf,), ink=1.2)
    for bend in (0.172, 0.2):
        fold = curve((-0.085, bend - 0.016), (0.0, bend + 0.012), (0.085, bend - 0.016))
        canvas.stroke(fold, 0.006, 0.35, wrap)
    knot = canvas.fill([ellipse(x, 0.205, 0.034, 0.028, 0.3 * side)], fabric.shade(0.1), (scarf,), ink=1.2)
    canvas.stroke([(x - 0.02, 0.2), (x + 0.02, 0.208)], 0.004, 0.3, knot)
