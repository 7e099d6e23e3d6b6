"""A body's landmarks on a picture: limbs as thin lines, joints as dots, what is hidden fainter."""

from __future__ import annotations

import cv2
import numpy as np

from fashionseg.visualize.colours import INK, PAPER

# Pairs of MediaPipe's landmarks: face line, arms with hands, trunk, legs with feet.
LIMBS = (
    (7, 8), (11, 12), (11, 13), (13, 15), (15, 19), (12, 14), (14, 16), (16, 20), (11, 23), (12, 24), (23, 24),
    (23, 25), (25, 27), (27, 29), (29, 31), (24, 26), (26, 28), (28, 30), (30, 32),
)  # fmt: skip
_SEEN = 0.5  # visibility


def draw_skeleton(picture: np.ndarray, landmarks: np.ndarray, unit: int) -> np.ndarray:
    """The picture uint8 [H, W, 3] with landmarks float32 [33, 3]: y and x as fractions of it, visibility.

    `unit` is the width of a fine line in pixels.
    """
    height, width = picture.shape[:2]
    places = [(round(float(x) * width), round(float(y) * height)) for y, x, _ in landmarks]
    seen, hidden = picture.copy(), picture.copy()
    for start, end in LIMBS:
        target = seen if min(landmarks[[start, end], 2]) >= _SEEN else hidden
        for colour, line in ((INK, 3 * unit), (PAPER, unit)):
            cv2.line(target, places[start], places[end], colour, line, cv2.LINE_AA)
    for place, visibility in zip(places, landmarks[:, 2], strict=True):
        target = seen if visibility >= _SEEN else hidden
        for colour, radius in ((INK, 3 * unit), (PAPER, 2 * unit)):
            cv2.circle(target, place, radius, colour, cv2.FILLED, cv2.LINE_AA)
    faint = np.any(hidden != picture, axis=2) & ~np.any(seen != picture, axis=2)
    seen[faint] = ((seen[faint].astype(np.uint16) + hidden[faint]) // 2).astype(np.uint8)
    return seen
