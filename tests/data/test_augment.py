"""Augmentation: the draws of imgaug; photo, mask and box move together."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from fashionseg import params
from fashionseg.data.augment import (
    Augmenter,
    AxisMap,
    PhotoMap,
    mini_mask,
    scaling,
    translation,
    warp_mask,
    warp_photo,
)
from fashionseg.data.letterbox import letterbox
from fashionseg.data.rle import mask_to_runs

IDENTITY = translation(0, 0)


def mirror(side: int) -> PhotoMap:
    return PhotoMap(AxisMap(1, 0), AxisMap(-1, side))


def augmenter(
    flip=0.5, shift=0.1, scale=(0.8, 1.2), side=96, crop=False, colour=0.0, jpeg_quality=None
) -> Augmenter:
    settings = params.Augment(
        flip_probability=flip,
        shift_fraction=shift,
        scale_range=scale,
        random_crop=crop,
        colour=colour,
        jpeg_quality=jpeg_quality,
    )
    return Augmenter(settings, side)


def rectangle(top, left, bottom, right, side=8) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask


def warped_box(mask, to_square, side=8):
    box, cropped = warp_mask(mask_to_runs(mask), mask.shape, to_square, side)
    assert cropped.shape == (box[2] - box[0], box[3] - box[1])
    return box


@pytest.mark.parametrize(
    ("to_square", "expected"),
    [
        (IDENTITY, (2, 1, 5, 4)),
        (mirror(8), (2, 4, 5, 7)),  # columns 1,2,3 become 6,5,4
        (translation(1, 2), (3, 3, 6, 6)),
        (translation(-3, 0), (0, 1, 2, 4)),  # the first row has left the square
        (translation(0, 5), (2, 6, 5, 8)),  # and here the last column
        (scaling((8, 8), (16, 16)), (4, 2, 8, 8)),  # cut at the border of 8
        (scaling((8, 8), (4, 4)), (1, 0, 2, 2)),  # pixel i takes source 2 i + 1: rows 1,3 | columns 1,3
    ],
)
def test_box_of_a_mapped_rectangle(to_square, expected):
    """The rectangle spans rows 2-4 and columns 1-3."""
    if expected == (1, 0, 2, 2):
        assert (
            warp_mask(mask_to_runs(rectangle(2, 1, 5, 4)), (8, 8), to_square, 8) is None
        )  # 2 pixels are too few
    else:
        assert warped_box(rectangle(2, 1, 5, 4), to_square) == expected


def test_an_instance_outside_or_left_as_a_sliver_is_dropped():
    runs = mask_to_runs(rectangle(0, 0, 4, 4))
    assert warp_mask(runs, (8, 8), translation(-4, 0), 8) is None
    assert warp_mask(runs, (8, 8), translation(0, 100), 8) is None
    assert warp_mask(runs, (8, 8), translation(-3, -1), 8) is None  # 1 x 3 pixels
    assert warp_mask(runs, (8, 8), translation(-3, 0), 8) is not None  # 1 x 4


def test_mapped_mask_by_hand():
    """An L, mirrored: its foot points to the left."""
    mask = rectangle(1, 2, 6, 3) | rectangle(5, 2, 6, 5)
    box, cropped = warp_mask(mask_to_runs(mask), (8, 8), mirror(8), 8)
    assert box == (1, 3, 6, 6)
    assert cropped.astype(int).tolist() == [[0, 0, 1]] * 4 + [[1, 1, 1]]


def test_composed_maps():
    both = scaling((10, 10), (20, 20)).then(translation(3, 4))
    assert (both.y, both.x) == (AxisMap(2, 3), AxisMap(2, 4))


def test_draws_fill_their_ranges():
    ours = augmenter()
    maps = [ours.draw(7, 0, photo) for photo in range(200)]
    scales = np.array([[abs(each.x.scale), each.y.scale] for each in maps])
    np.testing.assert_allclose(scales[:, 0], scales[:, 1], atol=1e-4)  # both axes alike
    assert 0.8 <= scales.min() + 1e-4 < 0.85
    assert 1.15 < scales.max() - 1e-4 <= 1.2
    centres = np.array(
        [[each.y.scale * 48 + each.y.offset, each.x.scale * 48 + each.x.offset] for each in maps]
    )
    assert 7 < np.abs(centres - 48).max() <= 0.1 * 96 + 1.01  # imgaug rounds shifts to whole pixels
    assert 70 < sum(each.x.scale < 0 for each in maps) < 130
    assert all(each.y.scale > 0 for each in maps)


@pytest.mark.parametrize(("flip", "mirrored"), [(0.0, 0), (1.0, 20)])
def test_flip_probability(flip, mirrored):
    ours = augmenter(flip=flip)
    draws = [ours.draw(1, 2, photo) for photo in range(20)]
    assert sum(draw.x.scale < 0 for draw in draws) == mirrored


def test_no_augmentation_is_the_identity():
    drawn = augmenter(flip=0.0, shift=0.0, scale=(1.0, 1.0)).draw(1, 2, 3)
    np.testing.assert_allclose(
        [drawn.y.scale, drawn.x.scale, drawn.y.offset, drawn.x.offset], [1, 1, 0, 0], atol=1e-4
    )


def test_a_seed_gives_the_same_draw_in_any_thread_or_process_and_another_seed_another():
    ours = augmenter()
    expected = [ours.draw(1, 2, photo) for photo in range(30)]
    assert [ours.draw(1, 2, photo) for photo in reversed(range(30))] == expected[::-1]
    assert [pickle.loads(pickle.dumps(ours)).draw(1, 2, photo) for photo in range(3)] == expected[:3]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda photo: ours.draw(1, 2, photo), range(30))) == expected
    assert len(set(expected)) == 30
    assert ours.draw(1, 3, 0) != expected[0] != ours.draw(2, 2, 0)


def test_photo_mask_and_box_move_together():
    """A photo that is bright where the mask is, through 30 draws."""
    side = 96
    rng = np.random.default_rng(0)
    ours = augmenter(side=side)
    for number in range(30):
        mask = np.zeros((side, side), bool)
        top, left = rng.integers(5, 40, 2)
        mask[top : top + 40, left : left + 25] = True
        mask[top + 30 : top + 40, left : left + 45] = True
        photo = np.where(mask[:, :, None], 255, 0).astype(np.uint8).repeat(3, axis=2)
        drawn = ours.draw(0, 0, number)
        bright = warp_photo(photo, drawn, side)[:, :, 0] > 127
        box, cropped = warp_mask(mask_to_runs(mask), mask.shape, drawn, side)
        placed = np.zeros((side, side), bool)
        placed[box[0] : box[2], box[1] : box[3]] = cropped
        ys, xs = np.nonzero(placed)
        assert box == (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
        assert (bright & placed).sum() / (bright | placed).sum() > 0.97


def test_warped_photo_by_hand():
    """Shift by whole pixels moves values unchanged; what comes in is black."""
    photo = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    warped = warp_photo(photo, translation(1, 2), 6)
    np.testing.assert_array_equal(warped[1:5, 2:6], photo)
    assert warped.sum() == photo.sum()
    np.testing.assert_array_equal(warp_photo(photo, mirror(4), 4), photo[:, ::-1])


def test_mini_mask_spans_its_box():
    cropped = np.zeros((40, 20), bool)
    cropped[:20] = True
    mini = mini_mask(cropped, 56)
    assert mini.dtype == np.uint8
    assert mini[:28].all()
    assert not mini[28:].any()
    assert mini_mask(np.ones((1, 1), bool), 56).all()
    np.testing.assert_array_equal(mini_mask(cropped[:, :1], 56), mini)


def covered(to_square: PhotoMap, hw: tuple[int, int]) -> list[tuple[float, float]]:
    """Rows and columns that a photo is mapped to."""
    axes = zip((to_square.y, to_square.x), hw, strict=True)
    return [tuple(sorted((axis.offset, axis.offset + axis.scale * length))) for axis, length in axes]


def test_random_crop_fills_the_square_where_the_photo_is_larger_and_pads_where_it_is_smaller():
    """A photo of 120 x 60 is 96 x 48 in its square."""
    photo = np.full((120, 60, 3), 200, np.uint8)
    ours = augmenter(scale=(0.5, 3.0), crop=True)
    cropped, padded, starts = 0, 0, {"cropped": [], "padded": []}
    for number in range(200):
        square, to_square = ours(photo, 3, 0, number)
        window = []
        for low, high in covered(to_square, photo.shape[:2]):
            assert abs(low - round(low)) < 1e-6
            if high - low >= 96:
                assert low <= 1e-6
                assert high >= 96 - 1e-6
                cropped += 1
                starts["cropped"].append(-low / max(high - low - 96, 1))
            else:
                assert low >= -1e-6
                assert high <= 96 + 1e-6
                padded += 1
                starts["padded"].append(low / (96 - high + low))
            window.append(slice(max(round(low), 0), min(round(high), 96)))
        assert (square[window[0], window[1]] == 200).all()
        assert np.count_nonzero(square) == np.count_nonzero(square[window[0], window[1]])
    assert min(cropped, padded) > 100
    for places in starts.values():  # uniform between both ends
        assert min(places) < 0.05
        assert max(places) > 0.95
        assert 0.4 < np.mean(places) < 0.6


def crop_with_mask(ours: Augmenter, mask: np.ndarray, *seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the square is bright of a photo that is bright where the mask is, and where the mask lies in it."""
    photo = np.where(mask[:, :, None], 255, 1).astype(np.uint8).repeat(3, axis=2)
    square, to_square = ours(photo, *seed)
    placed = np.zeros((96, 96), bool)
    warped = warp_mask(mask_to_runs(mask), mask.shape, to_square, 96)
    if warped is not None:
        box, cropped = warped
        placed[box[0] : box[2], box[1] : box[3]] = cropped
        ys, xs = np.nonzero(placed)
        assert box == (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)
    return square[:, :, 0] > 127, placed


@pytest.mark.parametrize("hw", [(96, 96), (300, 200), (40, 64)])
def test_masks_and_boxes_follow_the_cropped_photo(hw):
    """Shrunk, enlarged, cropped, padded and mirrored: photo and mask differ at most in the pixels at the edge."""
    mask = np.zeros(hw, bool)
    mask[hw[0] // 4 : hw[0] // 2, : hw[1] // 2] = True
    mask[hw[0] // 3 : 3 * hw[0] // 4, : hw[1] // 3] = True
    ours = augmenter(scale=(0.5, 2.0), crop=True)
    seen = 0
    for number in range(60):
        bright, placed = crop_with_mask(ours, mask, 1, 2, number)
        around = np.ones((3, 3), np.uint8)
        assert not (bright & ~cv2.dilate(placed.astype(np.uint8), around).astype(bool)).any()
        assert not (~bright & cv2.erode(placed.astype(np.uint8), around).astype(bool)).any()
        seen += placed.any()
    assert seen > 30


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_masks_on_whole_pixels_follow_the_cropped_photo_exactly(scale):
    mask = np.zeros((96, 64), bool)
    mask[20:60, 10:40] = mask[50:70, 4:12] = True
    ours = augmenter(scale=(scale, scale), crop=True)
    for number in range(20):
        bright, placed = crop_with_mask(ours, mask, 1, 2, number)
        np.testing.assert_array_equal(bright, placed)


def test_a_random_crop_at_scale_one_is_the_letterboxed_photo_at_another_place():
    photo = np.random.default_rng(0).integers(1, 256, (150, 90, 3), dtype=np.uint8)
    letterboxed, (y1, x1, y2, x2) = letterbox(photo, 96)
    square, to_square = augmenter(flip=0.0, scale=(1.0, 1.0), crop=True)(photo, 1, 2, 3)
    (top, bottom), (left, right) = [(round(low), round(high)) for low, high in covered(to_square, (150, 90))]
    np.testing.assert_array_equal(square[top:bottom, left:right], letterboxed[y1:y2, x1:x2])
    assert left != x1


def test_an_enlarged_crop_is_sampled_from_the_stored_pixels():
    """Stripes of two pixels at 192 are lost at 96, and at twice that scale they are whole again."""
    photo = np.zeros((192, 192, 3), np.uint8)
    photo[:, np.arange(192) % 4 < 2] = 255
    square, _ = augmenter(flip=0.0, scale=(2.0, 2.0), crop=True)(photo, 1, 2, 3)
    assert set(np.unique(square)) == {0, 255}


def test_colour_and_jpeg_leave_the_padding_zero_and_change_the_photo():
    photo = np.random.default_rng(1).integers(60, 200, (96, 40, 3), dtype=np.uint8)
    for settings in ({"colour": 1.0}, {"jpeg_quality": (20, 40)}, {"colour": 0.5, "jpeg_quality": (40, 95)}):
        for crop in (False, True):
            still = {"flip": 0.0, "shift": 0.0, "scale": (1.0, 1.0), "crop": crop}
            plain, to_square = augmenter(**still)(photo, 1, 2, 3)
            square, same_map = augmenter(**still, **settings)(photo, 1, 2, 3)
            assert same_map == to_square
            content = plain.any(axis=2)
            assert content.sum() == 96 * 40
            assert not square[~content].any()
            assert np.mean(square[content] != plain[content]) > 0.5


def test_augmented_pixels_are_the_same_in_any_thread_or_process_and_of_another_seed_others():
    photo = np.random.default_rng(1).integers(0, 256, (120, 80, 3), dtype=np.uint8)
    ours = augmenter(scale=(0.5, 2.0), crop=True, colour=0.5, jpeg_quality=(40, 95))
    expected = [ours(photo, 1, 2, number)[0] for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: ours(photo, 1, 2, number)[0], range(12)))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ours))(photo, 1, 2, 3)[0], expected[3])
    assert len({square.tobytes() for square in expected}) == 12
    assert not np.array_equal(ours(photo, 1, 3, 0)[0], expected[0])
