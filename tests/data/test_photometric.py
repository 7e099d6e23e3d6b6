"""Photometric augmentation: values of single pixels by hand."""

import numpy as np
import pytest

from fashionseg import params
from fashionseg.data.jpeg import decode_jpeg, encode_jpeg
from fashionseg.data.photometric import brightness, contrast, hue, photometric, saturation


def settings(colour=0.0, jpeg_quality=None) -> params.Augment:
    return params.Augment(
        flip_probability=0.0,
        shift_fraction=0.0,
        scale_range=(1.0, 1.0),
        random_crop=False,
        colour=colour,
        jpeg_quality=jpeg_quality,
    )


def pixels(*colours) -> np.ndarray:
    return np.array([colours], np.uint8)


@pytest.mark.parametrize(
    ("change", "amount", "before", "after"),
    [
        (brightness, -1.0, [(100, 200, 40)], [(50, 100, 20)]),
        (brightness, 1.0, [(100, 200, 40)], [(150, 255, 60)]),  # 300 is clipped
        (contrast, -1.0, [(50, 50, 50), (150, 150, 150)], [(75, 75, 75), (125, 125, 125)]),  # the mean is 100
        (contrast, 1.0, [(50, 50, 50), (150, 150, 150)], [(25, 25, 25), (175, 175, 175)]),
        (saturation, -1.0, [(200, 100, 100)], [(165, 115, 115)]),  # grey 0.299 * 200 + 0.701 * 100 = 130
        (saturation, 1.0, [(90, 90, 90)], [(90, 90, 90)]),
        (hue, 1.0, [(200, 0, 0)], [(200, 60, 0)]),  # 18 of the 60 degrees from red to yellow
        (hue, -1.0, [(200, 0, 0)], [(200, 0, 60)]),
        (hue, 1.0, [(90, 90, 90)], [(90, 90, 90)]),
    ],
)
def test_change_of_a_pixel(change, amount, before, after):
    assert change(pixels(*before), amount).tolist() == [[list(colour) for colour in after]]


@pytest.mark.parametrize("change", [brightness, contrast, saturation])
def test_amount_zero_changes_nothing(change):
    photo = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    np.testing.assert_array_equal(change(photo, 0.0), photo)


def test_all_off_is_the_photo_itself():
    photo = pixels((1, 2, 3))
    assert photometric(photo, settings(), np.random.default_rng(0)) is photo


def test_strength_bounds_the_change():
    """Grey of 100: hue and saturation do not matter, contrast neither in a photo of one colour."""
    photo = np.full((4, 4, 3), 100, np.uint8)
    means = [photometric(photo, settings(0.4), np.random.default_rng(seed)).mean() for seed in range(200)]
    assert 80 <= min(means) < 83
    assert 117 < max(means) <= 120


def test_jpeg_quality_covers_its_range_with_both_ends():
    photo = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    possible = {decode_jpeg(encode_jpeg(photo, quality)).tobytes() for quality in (50, 51, 52)}
    found = {
        photometric(photo, settings(jpeg_quality=(50, 52)), np.random.default_rng(seed)).tobytes()
        for seed in range(40)
    }
    assert found == possible
    assert len(possible) == 3
