"""Finished pictures: an outlined photo with its legend, or photo, ground truth and prediction side by side."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from fashionseg.storage.atomic import atomic_write
from fashionseg.taxonomy import Taxonomy, competition_taxonomy
from fashionseg.visualize.colours import category_colour
from fashionseg.visualize.drawing import display_size, paint, resize_photo
from fashionseg.visualize.instance import OutlinedInstance, in_drawing_order
from fashionseg.visualize.legend import PAGE, TEXT, legend
from fashionseg.visualize.skeleton import draw_skeleton
from fashionseg.visualize.tags import Tag, draw_tags
from fashionseg.visualize.text import fitted, font

LEAST_HEIGHT = 640  # pixels; smaller photos are shown enlarged
LONGEST_SIDE = 2048  # of one outlined photo
LONGEST_PANEL_SIDE = 800


def outline(
    photo: np.ndarray,
    instances: list[OutlinedInstance],
    with_legend: bool = True,
    taxonomy: Taxonomy | None = None,
) -> np.ndarray:
    """The photo with every instance outlined, lightly filled and named, and a legend below.

    Args:
        photo: uint8 [H, W, 3], RGB.
        instances: drawn large before small, parts above their garments; may be empty.
        taxonomy: of their categories; None: the competition's.

    Returns:
        uint8 [H', W', 3]: at least 640 high where a longest side of 2048 allows it.
    """
    taxonomy = taxonomy or competition_taxonomy()
    picture = draw_instances(photo, instances, *_size(photo, LONGEST_SIDE), taxonomy)
    if not with_legend:
        return picture
    text_height = _legend_height(*picture.shape[:2])
    return np.concatenate([picture, legend(instances, picture.shape[1], taxonomy, text_height)])


def side_by_side(
    photo: np.ndarray,
    truths: list[OutlinedInstance],
    predictions: list[OutlinedInstance],
    title: str = "",
    landmarks: np.ndarray | None = None,
    taxonomy: Taxonomy | None = None,
) -> np.ndarray:
    """Photo | ground truth | prediction with captions, a title and one shared legend; arrays as in `outline`.

    `landmarks` [33, 3] (see `skeleton`) are drawn over truth and prediction.
    """
    taxonomy = taxonomy or competition_taxonomy()
    size = _size(photo, LONGEST_PANEL_SIDE)
    columns = [
        ("photo", resize_photo(photo, *size)),
        (_caption("ground truth", truths), draw_instances(photo, truths, *size, taxonomy)),
        (_caption("prediction", predictions), draw_instances(photo, predictions, *size, taxonomy)),
    ]
    if landmarks is not None and landmarks.any():
        columns[1:] = [
            (caption, draw_skeleton(panel, landmarks, _unit(*size))) for caption, panel in columns[1:]
        ]
    gap = 12
    panels = [np.concatenate([_text_row(caption, 17, size[1]), panel]) for caption, panel in columns]
    space = np.full((panels[0].shape[0], gap, 3), PAGE, np.uint8)
    row = np.concatenate([space, *(part for panel in panels for part in (panel, space))], axis=1)
    width = row.shape[1]
    below = legend([*truths, *predictions], width, taxonomy, _legend_height(*size))
    above = [_text_row(title, 20, width, bold=True, margin=gap)] if title else []
    return np.concatenate([*above, row, below])


def draw_instances(
    photo: np.ndarray, instances: list[OutlinedInstance], height: int, width: int, taxonomy: Taxonomy
) -> np.ndarray:
    """The photo at `height` x `width` pixels with its instances and their tags, uint8 [height, width, 3]."""
    picture = resize_photo(photo, height, width)
    # The steps of a mask enlarged k times are k pixels high: half of that smooths them and keeps a one-pixel strap.
    enlarged = height / photo.shape[0]
    smoothing = 0.5 * enlarged if enlarged > 1.5 else 0.0
    unit = _unit(height, width)
    tags = []
    for instance in in_drawing_order(instances, taxonomy):
        crop, top, left = instance.raster(height, width, smoothing)
        is_part = taxonomy.is_part(instance.category)
        paint(picture, crop, top, left, instance.category, is_part, unit)
        text = taxonomy.short_name(instance.category)
        if instance.score is not None:
            text += f" {instance.score:.2f}"
        tags.append(Tag(text, category_colour(instance.category), crop, top, left))
    return draw_tags(picture, tags, _text_height(height, width))


def draw_outlines(
    photo: np.ndarray, instances: list[OutlinedInstance], longest_side: int, taxonomy: Taxonomy
) -> np.ndarray:
    """A small picture without tags: the photo, shrunk to `longest_side` pixels, with its instances outlined."""
    height, width = display_size(photo.shape[0], photo.shape[1], 1, longest_side)
    picture = resize_photo(photo, height, width)
    for instance in in_drawing_order(instances, taxonomy):
        crop, top, left = instance.raster(height, width)
        paint(picture, crop, top, left, instance.category, taxonomy.is_part(instance.category), 1)
    return picture


def write_png(path: Path, picture: np.ndarray) -> None:
    """Writes uint8 [H, W, 3] as a PNG without metadata: same pixels, same bytes."""
    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", compress_level=7)


def jpeg_bytes(picture: np.ndarray, quality: int = 85) -> bytes:
    """The picture as a JPEG in memory, for embedding in a page."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _size(photo: np.ndarray, longest_side: int) -> tuple[int, int]:
    return display_size(photo.shape[0], photo.shape[1], LEAST_HEIGHT, longest_side)


def _unit(height: int, width: int) -> int:
    """Width of a fine line in pixels."""
    return max(1, round(min(height, width) / 600))


def _text_height(height: int, width: int) -> int:
    """Text height of tags in pixels: grows with the picture, but more slowly."""
    return max(11, round(5 + min(height, 1.4 * width) / 85))


def _legend_height(height: int, width: int) -> int:
    return max(15, round(1.1 * _text_height(height, width)))


def _caption(word: str, instances: list[OutlinedInstance]) -> str:
    return f"{word} · {len(instances)} {'instance' if len(instances) == 1 else 'instances'}"


def _text_row(text: str, pixels: int, width: int, bold: bool = False, margin: int = 2) -> np.ndarray:
    image = Image.new("RGB", (width, round(1.9 * pixels)), PAGE)
    draw = ImageDraw.Draw(image)
    face = font(pixels, bold)
    text = fitted(draw, text, face, width - 2 * margin)
    draw.text((margin, image.height / 2), text, fill=TEXT, font=face, anchor="lm")
    return np.asarray(image)
