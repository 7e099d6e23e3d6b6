"""Photos sent to the server: an answer with the photo's size and masks inside it, or status 400; never a fault."""

from __future__ import annotations

import asyncio
import io
import json
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image
from tests.fuzz.harness import fuzz, mutations

from fashionseg.data.rle import parse_rle
from fashionseg.detections.inference import Detector
from fashionseg.detections.instances import Thresholds

if TYPE_CHECKING:
    from fashionseg.model.api import Network

MAX_MEGAPIXELS = 0.5
MAX_BYTES = 60_000


def saved(kind: str, mode: str = "RGB", height: int = 40, width: int = 56, **options: Any) -> bytes:
    rng = np.random.default_rng(0)
    pixels = cv2.resize(rng.integers(0, 255, (5, 7, 3), np.uint8), (width, height))
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved("JPEG", exif=exif)


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (20, 10), (shade, 0, 0)) for shade in (10, 90, 200)]
    return saved(kind, height=10, width=20, save_all=True, append_images=frames)


def sixteen_bit() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100).save(buffer, "PNG")
    return buffer.getvalue()


JPEGS = [
    saved("JPEG"),
    saved("JPEG", progressive=True, quality=60),
    saved("JPEG", "L"),
    saved("JPEG", "CMYK"),
    saved("JPEG", restart_marker_blocks=2),
    turned(6),
]
OTHERS = [
    saved("PNG"),
    saved("PNG", "P"),
    saved("PNG", "RGBA"),
    sixteen_bit(),
    saved("WEBP"),
    saved("BMP"),
    saved("GIF", "P"),
    saved("TIFF"),
    saved("TIFF", compression="tiff_lzw"),
    saved("TIFF", compression="jpeg"),
    animated("GIF"),
    animated("WEBP"),
    animated("TIFF"),
]


def detect_everywhere(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """In place of the network: three boxes on each photo, one of them reaching into the padding."""
    count = len(batch["images"])
    assert batch["images"].shape == (count, 64, 64, 3)
    boxes = [[0.1, 0.1, 0.6, 0.7], [0.2, 0.2, 0.8, 0.8], [0, 0, 1, 1]]
    return {
        "boxes": np.array([boxes] * count, np.float32),
        "classes": np.array([[1, 1, 3]] * count, np.int32),
        "scores": np.array([[0.9, 0.8, 0.7]] * count, np.float32),
        "masks": np.full((count, 3, 28, 28), 0.9, np.float32),
    }


class Server:
    """The application with all of its code but the network, called without a socket."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of MLflow's own type hints, at its first import
            from fashionseg.registry.photo_model import PhotoModel
        from fashionseg.registry.server import Limits, make_app

        model = PhotoModel()
        model.detector = Detector(
            cast("Network", SimpleNamespace(image_size=64)), ("coat", "hat", "shoe"), detect_everywhere
        )
        model.thresholds = Thresholds(score=0.5, nms=0.5, mask=0.5, min_area=1)
        model.max_megapixels = MAX_MEGAPIXELS
        self.app = make_app(model.detect, "1", Limits(max_bytes=MAX_BYTES))
        self.runner = asyncio.Runner()

    def post(self, chunks: list[bytes]) -> tuple[int, dict[str, Any]]:
        return self.runner.run(self._post(chunks))

    async def _post(self, chunks: list[bytes]) -> tuple[int, dict[str, Any]]:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/predict",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1:5001")],
        }
        parts = iter(chunks)
        left = len(chunks)
        answer: dict[str, Any] = {"body": b""}

        async def receive() -> dict[str, Any]:
            nonlocal left
            left -= 1
            return {"type": "http.request", "body": next(parts, b""), "more_body": left > 0}

        async def send(message: dict[str, Any]) -> None:
            answer["status"] = message.get("status", answer.get("status"))
            answer["body"] += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer["status"], json.loads(answer["body"])


SERVER: list[Server] = []


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    SERVER.append(Server())
    yield
    SERVER.pop().runner.close()


@fuzz(0.08, data=mutations(*JPEGS), cut=st.integers(1, 5000))
def test_jpeg_to_the_server(data: bytes, cut: int) -> str:
    return check(data, cut)


@fuzz(0.05, data=st.one_of(mutations(*OTHERS), st.binary(max_size=100)), cut=st.integers(1, 5000))
def test_other_photo_to_the_server(data: bytes, cut: int) -> str:
    return check(data, cut)


def check(data: bytes, cut: int) -> str:
    status, answer = SERVER[0].post([data[start : start + cut] for start in range(0, len(data), cut)])
    if status != 200:
        assert status == (413 if len(data) > MAX_BYTES else 400), answer
        assert answer["error"].isprintable()
        assert len(answer["error"]) < 400
        return "refused"
    height, width = answer["height"], answer["width"]
    assert 0 < height * width <= MAX_MEGAPIXELS * 1e6
    for found in answer["instances"]:
        runs = parse_rle(found["rle"], height, width)  # inside the photo
        assert found["area"] == runs[:, 1].sum() > 0
        y1, x1, y2, x2 = found["box"]
        assert 0 <= y1 <= y2 <= height
        assert 0 <= x1 <= x2 <= width
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            assert {height, width} == set(image.size)
    return "valid"
