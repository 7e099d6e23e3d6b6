"""The bytes of a photo file to the answer of the server and of the registered model."""

from __future__ import annotations

from typing import Any

from fashionseg.detections.inference import Detector, predict_photos
from fashionseg.detections.instances import Thresholds
from fashionseg.detections.objects import describe, photo_objects
from fashionseg.prepare.photo_header import read_header
from fashionseg.prepare.photos import decode_with_changes


def detect_in_bytes(
    detector: Detector, thresholds: Thresholds, data: bytes, max_megapixels: float
) -> dict[str, Any]:
    """`height`, `width`, `instances` (see `objects.describe`); `repaired` lists how the photo was changed, if it was.

    Raises:
        PhotoError: not a photo, damaged, or too many pixels.
    """
    photo, changes = decode_with_changes(data, read_header(data, max_megapixels))
    photos = [("photo", photo)]
    (objects,) = photo_objects(predict_photos(detector, photos, 1), photos, thresholds)
    height, width = photo.shape[:2]
    answer: dict[str, Any] = {
        "height": height,
        "width": width,
        "instances": describe(objects, detector.category_names),
    }
    return answer | {"repaired": changes} if changes else answer
