"""Photo files made to hurt: odd kinds are made RGB, and what would take hours or gigabytes is refused or cut off."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashionseg.data.jpeg import PhotoError
from fashionseg.params import load_params
from fashionseg.prepare.photo_header import read_header
from fashionseg.prepare.photos import read_photo


def tiff_of_pages(count: int) -> bytes:
    """A 2 x 2 photo whose directory is repeated `count` times, each naming the next."""
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "TIFF")
    data = buffer.getvalue()
    start = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[start : start + 2], "little")
    directory = data[start : start + 2 + 12 * entries]
    pages = bytearray(data[:start])
    for page in range(count):
        following = len(pages) + len(directory) + 4 if page + 1 < count else 0
        pages += directory + following.to_bytes(4, "little")
    return bytes(pages)


@pytest.mark.fault(
    table="photos", case="a TIFF of a million pages", outcome="counted up to 1,000, first page used"
)
def test_pages_of_a_tiff_are_counted_up_to_a_thousand() -> None:
    """Found by fuzzing: Pillow's own count of 300,000 of them, 32 MB, takes hours, and the server waits for it."""
    assert read_header(tiff_of_pages(3), 1).frames == 3
    assert read_header(tiff_of_pages(5000), 1).frames == 1000


@pytest.mark.fault(
    table="photos", case="decompression bomb", outcome="above `decode.max_megapixels` refused from its header"
)
def test_a_photo_above_the_committed_limit_is_refused_by_its_header(tmp_path: Path, repo: Path) -> None:
    """A black PNG of 150 megapixels has 150 kB; decoded it would have 450 MB."""
    limit = load_params(repo / "params.yaml").decode.max_megapixels
    Image.new("1", (15_000, 10_000)).save(tmp_path / "bomb.png")
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    with pytest.raises(PhotoError, match=r"expected at most 120 megapixels, got 15000 x 10000"):
        read_photo(tmp_path / "bomb.png", limit)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_another_kind_of_image_under_a_jpegs_name_is_read(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (9, 8), (200, 20, 20)).save(tmp_path / "a.jpg", kind)
    pixels = read_photo(tmp_path / "a.jpg", 1)
    assert pixels.shape == (8, 9, 3)
    np.testing.assert_allclose(pixels.mean(axis=(0, 1)), (200, 20, 20), atol=12)
