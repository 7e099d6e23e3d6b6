"""The human figure: build, pose and skin. Belongs to no instance; clothes are painted over it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fashionseg.sample.canvas import Canvas
from fashionseg.sample.chance import pick
from fashionseg.sample.colours import HAIR_COLOURS, SKIN_COLOURS
from fashionseg.sample.geometry import Points, curve, ellipse, limb, symmetric
from fashionseg.sample.textures import Colour

SHOULDER_Y, CHEST_Y, WAIST_Y, HIP_Y, CROTCH_Y = 0.205, 0.285, 0.40, 0.49, 0.535
KNEE_Y, ANKLE_Y = 0.745, 0.925
ARM_RADII = (0.033, 0.026, 0.019)
LEG_RADII = (0.055, 0.038, 0.023)
SIDES = (-1, 1)  # the viewer's left, right
WHITE: Colour = (0.98, 0.97, 0.95)

# Degrees outwards from hanging straight down: upper arm, forearm.
ARM_POSES = {
    "hanging": ((10, 20), (2, 12)),
    "away": ((24, 36), (14, 30)),
    "on hip": ((40, 50), (-52, -38)),
    "bent": ((16, 24), (48, 72)),
    "waving": ((70, 95), (150, 172)),
}
ARM_POSE_WEIGHTS = (0.42, 0.24, 0.17, 0.1, 0.07)
HAIR_STYLES = ("short", "bob", "long", "bun", "afro", "ponytail")


@dataclass(frozen=True)
class Body:
    """Half widths of the torso and joints of the limbs, in figure units.

    `arms[side]` are shoulder, elbow, wrist; `legs[side]` hip, knee, ankle; sides -1 and 1.
    """

    shoulder: float
    chest: float
    waist: float
    hip: float
    sway: float
    arms: dict[int, list[tuple[float, float]]]
    legs: dict[int, list[tuple[float, float]]]
    feet: dict[int, float]
    skin: Colour
    hair: Colour
    hair_style: str
    is_bearded: bool

    def place(self, points: Points | list) -> Points:
        """Torso points moved with the sway of the hips."""
        placed = np.array(points, dtype=np.float64)
        placed[:, 0] += self.sway * np.interp(placed[:, 1], (0.2, HIP_Y, 0.75), (0.0, 1.0, 0.6))
        return placed

    def torso(self, right_half: list) -> Points:
        """A smooth symmetric outline on the torso from its right half, top to bottom."""
        return self.place(symmetric(right_half))

    def hand(self, side: int) -> tuple[float, float]:
        """The centre of a hand."""
        (elbow_x, elbow_y), (wrist_x, wrist_y) = self.arms[side][1:]
        length = math.hypot(wrist_x - elbow_x, wrist_y - elbow_y)
        reach = 0.024 / max(length, 1e-6)
        return wrist_x + (wrist_x - elbow_x) * reach, wrist_y + (wrist_y - elbow_y) * reach


def choose_body(rng: np.random.Generator, arm_poses: dict[int, str]) -> Body:
    """A random build and pose; `arm_poses` fixes the pose of some arms (-1, 1)."""
    build = rng.uniform(0.94, 1.12)
    shape = rng.uniform(-1, 1)  # narrow shoulders and wide hips, or the reverse
    sway = rng.uniform(-0.016, 0.016)
    shoulder = build * (0.118 - 0.006 * shape)
    stance = rng.uniform(0.046, 0.072)
    hair_style = pick(rng, HAIR_STYLES)
    arms, legs, feet = {}, {}, {}
    for side in SIDES:
        pose = arm_poses.get(side) or str(rng.choice(list(ARM_POSES), p=ARM_POSE_WEIGHTS))
        arms[side] = _arm(rng, side, shoulder, pose)
        step = rng.uniform(-0.006, 0.02)
        hip_x = side * 0.053 * build + sway
        knee = (side * (stance + 0.3 * step) + 0.7 * sway, KNEE_Y + rng.uniform(-0.006, 0.006))
        legs[side] = [(hip_x, CROTCH_Y - 0.02), knee, (side * (stance + step), ANKLE_Y)]
        feet[side] = side * rng.uniform(0.35, 0.8)
    return Body(
        shoulder=shoulder,
        chest=build * (0.101 - 0.002 * shape),
        waist=build * (0.088 - 0.007 * shape),
        hip=build * (0.107 + 0.005 * shape),
        sway=sway,
        arms=arms,
        legs=legs,
        feet=feet,
        skin=pick(rng, SKIN_COLOURS),
        hair=pick(rng, HAIR_COLOURS),
        hair_style=hair_style,
        is_bearded=bool(shape < -0.3 and hair_style in ("short", "afro", "bun") and rng.random() < 0.7),
    )


def _arm(rng: np.random.Generator, side: int, shoulder: float, pose: str) -> list[tuple[float, float]]:
    upper, fore = (math.radians(rng.uniform(*limits)) for limits in ARM_POSES[pose])
    x, y = side * (shoulder - 0.012), SHOULDER_Y + 0.03
    joints = [(x, y)]
    for angle, length in ((upper, 0.155), (fore, 0.135)):
        x, y = x + side * length * math.sin(angle), y + length * math.cos(angle)
        joints.append((x, y))
    return joints


def draw_legs(canvas: Canvas, body: Body) -> None:
    """Bare legs and pelvis."""
    for side in SIDES:
        leg = canvas.fill(limb(body.legs[side], LEG_RADII), body.skin, ink=0.7)
        crease = np.array(body.legs[side][1]) + curve((-0.016, 0.012), (0, 0.02), (0.016, 0.012))
        canvas.stroke(crease, 0.003, 0.25, leg)
    pelvis = [(body.waist, WAIST_Y), (body.hip, HIP_Y), (body.hip * 0.9, CROTCH_Y), (0.02, CROTCH_Y + 0.03)]
    canvas.fill([body.torso(pelvis)], body.skin, ink=0.0)


def draw_torso(canvas: Canvas, body: Body) -> None:
    """Chest and neck, visible in necklines."""
    shape = [(0.03, 0.18), (body.shoulder, SHOULDER_Y), (body.chest, CHEST_Y), (body.waist, WAIST_Y)]
    canvas.fill([body.torso(shape)], body.skin, ink=0.5)
    neck = canvas.fill(limb([(0, 0.12), (0, 0.21)], (0.031, 0.036)), body.skin, relief=0.6, ink=0.4)
    chin_shadow = curve((-0.05, 0.15), (0, 0.168), (0.05, 0.15))
    canvas.stroke(chin_shadow, 0.022, 0.3, neck)


def draw_arm(canvas: Canvas, body: Body, side: int) -> None:
    """A bare arm with its hand."""
    canvas.fill(limb(body.arms[side], ARM_RADII), body.skin, ink=0.8)
    draw_hand(canvas, body, side)


def draw_hand(canvas: Canvas, body: Body, side: int) -> None:
    """A mitten-shaped hand with the thumb towards the body."""
    x, y = body.hand(side)
    wrist_x, wrist_y = body.arms[side][2]
    turn = math.atan2(y - wrist_y, x - wrist_x)
    thumb = ellipse(x - side * 0.014 * math.sin(turn), y - 0.004, 0.016, 0.008, turn + side * 0.5)
    canvas.fill([ellipse(x, y, 0.029, 0.019, turn), thumb], body.skin, ink=0.8, relief=0.7)
