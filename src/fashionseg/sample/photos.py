"""One photo of the sample: background, figure, masks and JPEG."""

from __future__ import annotations

import hashlib
import io
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from fashionseg.data.rle import format_rle, mask_to_runs
from fashionseg.sample.backgrounds import draw_background
from fashionseg.sample.canvas import Canvas
from fashionseg.sample.geometry import Frame
from fashionseg.sample.outfits import NUM_PAIRS, choose_outfit, draw_figure, dress_body, kinds_of
from fashionseg.sample.textures import grain
from fashionseg.taxonomy import format_class_id

SUBSETS = ("train", "test")
JPEG_QUALITY = 88
MIN_AREA_FRACTION = 0.0015  # of the photo: smaller instances are not annotated

# Unusual photos as in the real data, among the train photos: photo numbers modulo 40.
TRAPS_EVERY, GRAYSCALE, ROTATED = 40, 3, 7
EXIF_ORIENTATION, ROTATE_RIGHT_TO_VIEW = 0x0112, 6


class TrainRow(NamedTuple):
    """A row of train.csv."""

    image_id: str
    encoded_pixels: str
    height: int
    width: int
    class_id: str


class SamplePhoto(NamedTuple):
    """A photo file and its rows of train.csv."""

    image_id: str
    jpeg: bytes
    rows: tuple[TrainRow, ...]


def draw_photo(seed: int, subset: str, number: int) -> SamplePhoto:
    """Photo `number` of a subset; depends on the arguments only."""
    rng = np.random.default_rng([seed, SUBSETS.index(subset), number])
    height, width = _choose_size(rng)
    background = draw_background(rng, height, width)
    order = np.random.default_rng([seed, SUBSETS.index(subset), 0, number // NUM_PAIRS]).permutation(
        NUM_PAIRS
    )
    outfit = choose_outfit(rng, *kinds_of(number, order), background.colours)
    body = dress_body(rng, outfit)
    canvas = Canvas(background.image, _choose_frame(rng, height, width, outfit.hat is not None))
    _ground_shadow(canvas)
    draw_figure(canvas, body, outfit)
    image_id = hashlib.md5(f"{seed} {subset} {number}".encode()).hexdigest() + ".jpg"
    rows = []
    for instance, mask in canvas.visible_instances(MIN_AREA_FRACTION * height * width):
        class_id = format_class_id(instance.category, instance.attributes)
        rows.append(TrainRow(image_id, format_rle(mask_to_runs(mask)), height, width, class_id))
    trap = number % TRAPS_EVERY if subset == "train" else -1
    return SamplePhoto(image_id, _encode(_finish(rng, canvas.image), trap), tuple(rows))


def _choose_size(rng: np.random.Generator) -> tuple[int, int]:
    """A portrait size; 3 % of the photos are larger."""
    height = int(rng.integers(400, 900)) if rng.random() > 0.03 else int(rng.integers(1200, 1600))
    return height, round(height * rng.uniform(0.62, 0.78))


def _choose_frame(rng: np.random.Generator, height: int, width: int, has_hat: bool) -> Frame:
    """Position and scale of the figure, which fills most of the height."""
    headroom = 0.085 if has_hat else 0.03
    scale = height * float(rng.uniform(0.93, 0.955)) / (1.0 + headroom)
    origin = (width / 2 + float(rng.uniform(-0.03, 0.03)) * height, height * float(rng.uniform(0.968, 0.98)))
    return Frame(scale, origin, float(rng.normal(0.0, 0.012)))


def _ground_shadow(canvas: Canvas) -> None:
    """A soft shadow under the feet."""
    height, width = canvas.image.shape[:2]
    x, y = canvas.frame.origin
    scale = canvas.frame.scale
    rows = (np.arange(height, dtype=np.float32)[:, None] - y + 0.008 * scale) / (0.028 * scale)
    first = max(int(y - 0.12 * scale), 0)
    columns = (np.arange(width, dtype=np.float32)[None, :] - x) / (0.17 * scale)
    shadow = 0.5 * np.exp(-(rows[first:] ** 2) - columns**2)
    canvas.image[first:] *= (1.0 - shadow)[..., None]


def _finish(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Vignetting and camera noise; returns uint8 [H, W, 3]."""
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    light = 0.02 * grain(height, width, int(rng.integers(1 << 16)))
    light += float(rng.uniform(0.95, 1.05)) * (1.0 - 0.10 * (x * x + y * y))
    image *= light[..., None]
    return cv2.convertScaleAbs(image, alpha=255.0)  # saturates at 255


def _encode(pixels: np.ndarray, trap: int) -> bytes:
    """JPEG bytes; `trap` makes the photo grayscale, or rotated with an EXIF orientation."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    if trap == ROTATED:
        pixels = np.ascontiguousarray(np.rot90(pixels))
        exif[EXIF_ORIENTATION] = ROTATE_RIGHT_TO_VIEW
    image = Image.fromarray(pixels)
    if trap == GRAYSCALE:
        image = image.convert("L")
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, exif=exif.tobytes() if len(exif) else b"")
    return buffer.getvalue()
