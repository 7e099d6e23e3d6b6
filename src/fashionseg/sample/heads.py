"""Faces and hair."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fashionseg.sample.canvas import Canvas
from fashionseg.sample.figures import SIDES, WHITE, Body
from fashionseg.sample.geometry import Shape, curve, ellipse, limb, mirrored, smooth, symmetric
from fashionseg.sample.textures import darker, hex_colour, lighter, mix

HEAD_Y, HEAD_WIDTH = 0.083, 0.052


def draw_back_hair(canvas: Canvas, body: Body) -> None:
    """Hair behind neck and shoulders."""
    shape: Shape
    match body.hair_style:
        case "long":
            half = [(0.0, 0.005), (0.06, 0.02), (0.075, 0.1), (0.085, 0.2), (0.07, 0.285), (0.02, 0.29)]
            shape = [symmetric(half)]
        case "bob":
            half = [(0.0, 0.005), (0.065, 0.02), (0.075, 0.1), (0.078, 0.165), (0.03, 0.172)]
            shape = [symmetric(half)]
        case "afro":
            shape = [ellipse(0.0, 0.066, 0.092, 0.082)]
        case "bun":
            shape = [ellipse(0.0, 0.0, 0.034, 0.03)]
        case "ponytail":
            shape = limb([(0.03, 0.03), (0.085, 0.09), (0.08, 0.2)], (0.02, 0.028, 0.008))
        case _:
            return
    back = canvas.fill(shape, darker(body.hair, 0.18))
    for x in (-0.062, -0.045, 0.045, 0.062):
        canvas.stroke([(x, 0.06), (1.1 * x, 0.3)], 0.003, -0.12, back)


def draw_head(canvas: Canvas, body: Body) -> None:
    """Head, face and the hair in front."""
    for side in SIDES:
        canvas.fill([ellipse(side * HEAD_WIDTH, HEAD_Y + 0.008, 0.011, 0.016)], darker(body.skin, 0.06))
    half = [(0.0, 0.017), (0.044, 0.02), (0.054, 0.075), (0.046, 0.125), (0.018, 0.152), (0.0, 0.152)]
    head = canvas.fill([symmetric(half)], body.skin, relief=0.7, ink=0.8)
    _draw_face(canvas, body)
    if body.is_bearded:
        jaw = [
            (0.05, 0.08),
            (0.056, 0.1),
            (0.044, 0.16),
            (0.0, 0.165),
            (-0.044, 0.16),
            (-0.056, 0.1),
            (-0.05, 0.08),
        ]
        inner = [(-0.034, 0.1), (-0.02, 0.108), (0.0, 0.104), (0.02, 0.108), (0.034, 0.1)]
        canvas.fill([smooth(jaw + inner)], body.hair, within=head, ink=0.3)
        canvas.fill([ellipse(0, 0.121, 0.013, 0.004)], hex_colour("b5524f"), ink=0.0, relief=0.0)
    _draw_front_hair(canvas, body)


def _draw_face(canvas: Canvas, body: Body) -> None:
    blush = mix(body.skin, (0.85, 0.3, 0.3), 0.28)
    ink = darker(body.hair, 0.5)
    for side in SIDES:
        canvas.fill([ellipse(side * 0.031, 0.107, 0.011, 0.007)], blush, relief=0.0, ink=0.0)
        canvas.fill([ellipse(side * 0.021, 0.087, 0.0075, 0.0055)], WHITE, relief=0.0, ink=0.0)
        canvas.fill([ellipse(side * 0.0205, 0.087, 0.0045, 0.0052)], (0.1, 0.08, 0.1), relief=0.0, ink=0.0)
        brow = curve((side * 0.012, 0.073), (side * 0.021, 0.069), (side * 0.032, 0.074))
        canvas.fill(limb(brow, np.full(len(brow), 0.0022)), ink, relief=0.0, ink=0.0)
    nose = [(0.0, 0.09), (0.007, 0.106), (0.0, 0.109)]
    canvas.fill(limb(nose, (0.001, 0.002, 0.0015)), darker(body.skin, 0.25), relief=0.0, ink=0.0)
    mouth = smooth([(-0.015, 0.121), (-0.007, 0.119), (0.007, 0.119), (0.015, 0.121), (0.0, 0.130)])
    canvas.fill([mouth], mix(hex_colour("b8434a"), body.skin, 0.25), relief=0.0, ink=0.0)


def _draw_front_hair(canvas: Canvas, body: Body) -> None:
    crown: Sequence[Sequence[float]]
    match body.hair_style:
        case "short":
            crown = [
                (-0.058, 0.092),
                (-0.062, 0.04),
                (-0.035, 0.0),
                (0.02, -0.004),
                (0.06, 0.025),
                (0.058, 0.092),
            ]
            fringe = [(0.049, 0.06), (0.03, 0.044), (-0.02, 0.048), (-0.048, 0.066)]
        case "afro":
            crown = mirrored([(-0.07, 0.085), (-0.075, 0.03), (-0.035, -0.012)])
            fringe = [(0.05, 0.066), (0.025, 0.045), (-0.025, 0.045), (-0.05, 0.066)]
        case _:
            crown = [
                (-0.056, 0.13),
                (-0.066, 0.05),
                (-0.04, 0.0),
                (0.03, -0.003),
                (0.066, 0.04),
                (0.056, 0.13),
            ]
            fringe = [(0.05, 0.075), (0.038, 0.05), (-0.012, 0.028), (-0.03, 0.05), (-0.05, 0.08)]
    hair = canvas.fill([smooth([*crown, *fringe])], body.hair)
    for x in (-0.03, 0.0, 0.03):
        strand = curve((x - 0.01, 0.005), (x + 0.005, 0.02), (x + 0.03, 0.045))
        canvas.stroke(strand, 0.003, -0.16, hair)
    shine = lighter(body.hair, 0.25)
    canvas.fill([ellipse(-0.022, 0.018, 0.014, 0.004, -0.5)], shine, None, within=hair, relief=0.0, ink=0.0)
