"""Augmentation: the draws of imgaug; photo, mask and box move together."""

import pickle
from concurrent.futures import ThreadPoolExecutor

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
from fashionseg.data.rle import mask_to_runs

IDENTITY = translation(0, 0)


def mirror(side: int) -> PhotoMap:
    return PhotoMap(AxisMap(1, 0), AxisMap(-1, side))


def augmenter(flip=0.5, shift=0.1, scale=(0.8, 1.2), side=96) -> Augmenter:
    return Augmenter(params.Augment(flip_probability=flip, shift_fraction=shift, scale_range=scale), side)


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
