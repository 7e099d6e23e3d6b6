"""Photo files of every kind to upright RGB pixels, and those that are refused."""

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from fashionseg.data.jpeg import PhotoError, decode_jpeg, encode_jpeg
from fashionseg.prepare import photo_header
from fashionseg.prepare.near_duplicates import difference_hash
from fashionseg.prepare.photo_header import read_file, read_header
from fashionseg.prepare.photos import decode_photo, decode_with_changes, read_photo, shrunk_hw, turn_upright

RED, GREEN, BLUE, WHITE = (200, 20, 20), (20, 180, 20), (20, 20, 200), (240, 240, 240)


def quarters(height=64, width=96) -> np.ndarray:
    """Red top left, green top right, blue bottom left, white bottom right."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = RED
    pixels[: height // 2, width // 2 :] = GREEN
    pixels[height // 2 :, : width // 2] = BLUE
    pixels[height // 2 :, width // 2 :] = WHITE
    return pixels


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    """The four quarters' names in reading order."""
    names = {"red": RED, "green": GREEN, "blue": BLUE, "white": WHITE}
    height, width = pixels.shape[:2]
    found = []
    for y in (height // 4, 3 * height // 4):
        for x in (width // 4, 3 * width // 4):
            distance = {
                name: np.abs(pixels[y, x].astype(int) - colour).sum() for name, colour in names.items()
            }
            found.append(min(distance, key=distance.get))
    return found


def saved(image: Image.Image, kind="JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes, **options) -> np.ndarray:
    return decode_photo(data, read_header(data, max_megapixels=1), **options)


UPRIGHT = ["red", "green", "blue", "white"]


def test_plain_jpeg_is_rgb():
    assert corners(decoded(saved(Image.fromarray(quarters()), quality=95))) == UPRIGHT


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, ["red", "green", "blue", "white"]),
        (2, ["green", "red", "white", "blue"]),  # mirrored
        (3, ["white", "blue", "green", "red"]),  # upside down
        (4, ["blue", "white", "red", "green"]),  # mirrored top to bottom
        (5, ["red", "blue", "green", "white"]),  # transposed
        (6, ["blue", "red", "white", "green"]),  # to be turned clockwise
        (7, ["white", "green", "blue", "red"]),  # transposed over the other diagonal
        (8, ["green", "white", "red", "blue"]),  # to be turned anticlockwise
    ],
)
def test_exif_orientation(orientation, expected):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(quarters()), quality=95, exif=exif)
    header = read_header(data, 1)
    pixels = decode_photo(data, header)
    assert pixels.shape[:2] == header.upright_hw == ((64, 96) if orientation < 5 else (96, 64))
    assert corners(pixels) == expected
    assert corners(decode_photo(data, header, upright=False)) == UPRIGHT


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("long_side", [None, 24])
def test_colour_modes_give_the_same_brightness(mode, long_side):
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, 48:] = 200
    pixels = decoded(saved(Image.fromarray(rgb).convert(mode), quality=95), long_side=long_side)
    assert pixels.dtype == np.uint8
    assert pixels.shape == ((64, 96, 3) if long_side is None else (16, 24, 3))
    np.testing.assert_allclose(pixels[:, :8], 0, atol=6)
    np.testing.assert_allclose(pixels[:, -8:], 200, atol=6)


def test_16_bit_photo_keeps_its_brightness():
    data = saved(Image.fromarray(np.full((8, 9), 0x80FF, np.uint16)), "PNG")
    np.testing.assert_array_equal(decoded(data), np.full((8, 9, 3), 0x80))


def test_animation_gives_its_first_frame():
    frames = [Image.fromarray(np.full((8, 9, 3), value, np.uint8)) for value in (50, 250)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_header(data, 1).frames == 2
    np.testing.assert_allclose(decoded(data), 50, atol=2)


def tiff(values: np.ndarray) -> bytes:
    return cv2.imencode(".tiff", values)[1].tobytes()


def palette() -> Image.Image:
    """Left half of colour 0, right half of colour 1, 8 x 8."""
    image = Image.fromarray(np.array([[0, 1]], np.uint8).repeat(8, axis=0).repeat(4, axis=1)).convert("P")
    image.putpalette([10, 20, 30, 200, 0, 0])
    return image


def hidden(mode: str) -> Image.Image:
    """Left half black and opaque, right half black and transparent."""
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (4, 0, 8, 8))
    return image.convert(mode)


HALF = np.full((8, 8), 0.5, np.float32)
WHITENED = "transparent parts made white"
# File, expected RGB of its left and right half as a viewer shows them, and the last change reported.
KINDS = {
    "RGBA": (saved(hidden("RGBA"), "PNG"), 0, 255, WHITENED),
    "RGBA WebP": (saved(hidden("RGBA"), "WEBP", lossless=True), 0, 255, WHITENED),
    "RGBA TIFF": (saved(hidden("RGBA"), "TIFF"), 0, 255, WHITENED),
    "grey and alpha": (saved(hidden("LA"), "PNG"), 0, 255, WHITENED),
    "palette": (saved(palette(), "PNG", transparency=1), (10, 20, 30), 255, WHITENED),
    "GIF": (saved(palette(), "GIF", transparency=1), (10, 20, 30), 255, WHITENED),
    "half transparent": (saved(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG"), 127, 127, WHITENED),
    "CMYK": (
        saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"),
        (255, 0, 0),
        (255, 0, 0),
        "CMYK made RGB",
    ),
    "Lab": (saved(Image.new("LAB", (8, 8), (255, 128, 128)), "TIFF"), 255, 255, "Lab made RGB"),
    "black and white": (saved(Image.new("1", (8, 8), 1), "PNG"), 255, 255, "black and white made RGB"),
    "float of 0 to 1": (tiff(HALF), 128, 128, "float made RGB"),
    "float of 0 to 255": (tiff(HALF * 200), 100, 100, "float made RGB"),
    "float RGB": (
        tiff(np.stack([HALF * 0, HALF, HALF * 2], axis=2)),
        (255, 128, 0),
        (255, 128, 0),
        "samples made 8-bit RGB",
    ),
    "16-bit RGB": (tiff(np.full((8, 8, 3), 0x80FF, np.uint16)), 0x80, 0x80, None),
    "32-bit": (
        saved(Image.fromarray(np.full((8, 8), 0x80FF, np.int32)), "TIFF"),
        0x80,
        0x80,
        "32-bit made RGB",
    ),
    "16-bit": (
        saved(Image.fromarray(np.full((8, 8), 0x80FF, np.uint16)), "TIFF"),
        0x80,
        0x80,
        "16-bit made RGB",
    ),
    "JPEG 2000": (saved(Image.new("RGB", (8, 8), (9, 8, 7)), "JPEG2000"), (9, 8, 7), (9, 8, 7), None),
    "AVIF": (saved(Image.new("RGB", (8, 8), (90, 90, 90)), "AVIF", quality=100), 90, 90, None),
}


@pytest.mark.parametrize(("data", "left", "right", "change"), KINDS.values(), ids=KINDS)
@pytest.mark.fault(
    table="photos",
    case="transparent parts; 16-bit, 32-bit, float, Lab",
    outcome="as a viewer shows it, on white; repaired; the same in training, prediction and serving",
)
def test_a_photo_looks_as_a_viewer_shows_it(data, left, right, change):
    pixels, changes = decode_with_changes(data, read_header(data, 1))
    assert pixels.shape == (8, 8, 3)
    for half, expected in ((pixels[:, :3], left), (pixels[:, -3:], right)):
        np.testing.assert_allclose(half, np.broadcast_to(expected, half.shape), atol=2)
    assert changes[-1:] == ([] if change is None else [change])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_every_format_is_turned_upright_once(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(quarters()), kind, exif=exif)
    header = read_header(data, 1)
    pixels = decode_photo(data, header)
    assert pixels.shape[:2] == header.upright_hw == (96, 64)
    assert corners(pixels) == ["blue", "red", "white", "green"]


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC photo, .* convert it to JPEG"),
        (b"\0\0\0\x18ftypcrx ", "camera raw photo, .* convert it to JPEG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL photo, .* convert it to JPEG"),
    ],
)
def test_known_kinds_that_cannot_be_read_are_named(monkeypatch, start, message):
    monkeypatch.setattr(photo_header, "_FORMATS", ("JPEG", "PNG"))
    with pytest.raises(PhotoError, match=message):
        read_header(start + bytes(100), 1)


def test_heic_is_read_upright():
    """As phones write it: with the orientation of the camera."""
    photo = Image.fromarray(quarters())
    assert corners(decoded(saved(photo, "HEIF", quality=95))) == UPRIGHT
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(photo, "HEIF", quality=95, exif=exif.tobytes())
    assert decoded(data).shape == (*read_header(data, 1).upright_hw, 3) == (96, 64, 3)
    assert corners(decoded(data)) == ["blue", "red", "white", "green"]


def test_transparent_parts_of_a_heic_are_white():
    photo = Image.new("RGBA", (64, 48), (*RED, 255))
    photo.paste((0, 255, 0, 0), (0, 0, 32, 48))
    pixels = decoded(saved(photo, "HEIF", quality=95))
    np.testing.assert_allclose(pixels[24, 8], (255, 255, 255), atol=12)
    np.testing.assert_allclose(pixels[24, 56], RED, atol=12)


def test_a_tiff_that_begins_with_a_thumbnail_is_refused():
    """Of a camera's raw file Pillow reads the small preview."""
    data = saved(Image.new("RGB", (8, 8)), "TIFF", tiffinfo={254: 1})
    with pytest.raises(PhotoError, match="camera raw"):
        read_header(data, 1)


def test_transparent_photo():
    data = saved(Image.new("RGBA", (9, 8), (10, 20, 30, 255)), "PNG")
    np.testing.assert_array_equal(decoded(data), np.full((8, 9, 3), (10, 20, 30)))


@pytest.mark.parametrize("long_side", [1024, 640, 300, 200, 100])
def test_reduced_decoding_is_close_to_shrinking_the_whole(long_side):
    rng = np.random.default_rng(0)
    smooth = cv2.resize(
        rng.integers(0, 255, (12, 16, 3), np.uint8), (1200, 901), interpolation=cv2.INTER_CUBIC
    )
    data = saved(Image.fromarray(smooth), quality=95)
    header = read_header(data, 2)
    small = decode_photo(data, header, long_side)
    expected = cv2.resize(decode_photo(data, header), small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert max(small.shape) == long_side
    assert np.abs(small.astype(int) - expected).mean() < 3  # of 255


def test_sizes_after_shrinking():
    assert shrunk_hw((5214, 3676), 512) == (512, 361)  # 3676 * 512 / 5214 = 360.97
    assert shrunk_hw((300, 400), 512) == (300, 400)
    assert shrunk_hw((10000, 3), 100) == (100, 1)
    assert shrunk_hw((7, 5), None) == (7, 5)


def test_truncated_photo_is_refused_or_filled_with_grey():
    data = saved(Image.fromarray(np.tile(quarters(), (8, 8, 1))), quality=95)
    short = data[: len(data) // 2]
    with pytest.raises(PhotoError, match="truncated or damaged"):
        decoded(short)
    pixels = decoded(short, allow_truncated=True)
    assert pixels.shape == (512, 768, 3)
    assert corners(pixels[:64, :96]) == UPRIGHT


@pytest.mark.parametrize("data", [b"hello", b"\xff\xd8\xff\xe0", bytes(1000), b"<html></html>"])
def test_other_files_are_refused(data):
    with pytest.raises(PhotoError, match="expected a photo"):
        read_header(data, 1)


def test_tiff_whose_second_page_has_no_size_is_refused():
    """Found by fuzzing: Pillow opens it and fails with a TypeError when the pages are counted."""
    data = bytearray(saved(Image.fromarray(quarters()), "TIFF"))
    directory = int.from_bytes(data[4:8], "little")
    next_page = directory + 2 + 12 * int.from_bytes(data[directory : directory + 2], "little")
    data[next_page : next_page + 4] = len(data).to_bytes(4, "little")
    data += (
        b"\x01\x00" + b"\x0e\x01\x03\x00\x01\x00\x00\x00\x00\x00\x00\x00" + bytes(4)
    )  # one tag, not a size
    with pytest.raises(PhotoError, match="damaged file"):
        read_header(bytes(data), 1)


def test_empty_and_missing_file(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(PhotoError, match="empty file"):
        read_photo(tmp_path / "a.jpg", 1)
    with pytest.raises(PhotoError, match="cannot be read"):
        read_file(tmp_path / "b.jpg")


def bomb(side: int) -> bytes:
    """A PNG header that claims `side` x `side` pixels, with hardly any data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [1001, 10_000, 60_000])
def test_decompression_bomb_is_refused_by_its_header(side):
    with pytest.raises(PhotoError, match=rf"at most 1 megapixels, got {side} x {side}"):
        read_header(bomb(side), max_megapixels=1)


def test_damaged_exif_counts_as_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(saved(Image.fromarray(quarters()), exif=exif))
    start = data.index(b"Exif\0\0") + 6
    data[start : start + 4] = b"\xff\xff\xff\xff"
    assert read_header(bytes(data), 1).orientation == 1


def test_jpeg_of_the_shards_keeps_colours_and_size():
    pixels = quarters()
    again = decode_jpeg(encode_jpeg(pixels, 95))
    assert again.shape == pixels.shape
    assert corners(again) == UPRIGHT
    with pytest.raises(PhotoError, match="expected a JPEG"):
        decode_jpeg(b"nothing")


def test_turning_is_undone_by_its_inverse():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    inverse = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    for orientation, back in inverse.items():
        np.testing.assert_array_equal(turn_upright(turn_upright(pixels, orientation), back), pixels)


def test_difference_hash_is_shared_by_a_recompressed_and_resized_photo():
    rng = np.random.default_rng(3)
    photo = cv2.resize(rng.integers(0, 255, (10, 8, 3), np.uint8), (240, 300), interpolation=cv2.INTER_CUBIC)
    other = cv2.resize(rng.integers(0, 255, (10, 8, 3), np.uint8), (240, 300), interpolation=cv2.INTER_CUBIC)
    copy = cv2.resize(decode_jpeg(encode_jpeg(photo, 60)), (120, 150), interpolation=cv2.INTER_AREA)
    ours = difference_hash(photo)
    assert (ours ^ difference_hash(copy)).bit_count() <= 4
    assert (ours ^ difference_hash(other)).bit_count() > 10


def test_difference_hash_by_hand():
    """Brightness rises to the right in every row: all 64 bits are set; to the left: none."""
    ramp = np.repeat(np.linspace(0, 240, 90).astype(np.uint8)[None, :, None], 80, axis=0).repeat(3, axis=2)
    assert difference_hash(ramp) == 2**64 - 1
    assert difference_hash(np.ascontiguousarray(ramp[:, ::-1])) == 0
