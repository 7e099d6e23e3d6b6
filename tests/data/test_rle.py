"""Masks as runs: hand-made cases, inverses, and agreement with pycocotools and OpenCV."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from fashionseg.data.rle import (
    format_rle,
    mask_to_runs,
    overlap_when_shifted,
    parse_rle,
    repair_rle,
    resize_runs,
    runs_area,
    runs_box,
    runs_to_mask,
)

# 4 x 3, numbered from 1 down the columns:  1 5 9 / 2 6 10 / 3 7 11 / 4 8 12
PICTURE = np.array(
    [
        [0, 1, 0],
        [1, 0, 0],
        [1, 0, 1],
        [1, 0, 1],
    ],
    bool,
)
TEXT = "2 4 11 2"  # 2,3,4 and, over the bottom edge, 5; then 11,12


def random_masks(count: int):
    """Blobs of all densities, also empty and full ones, in awkward sizes."""
    rng = np.random.default_rng(0)
    for index in range(count):
        height, width = rng.integers(1, 90, 2)
        mask = rng.random((height, width)) < (index % 11) / 10
        yield mask if index % 2 else cv2.medianBlur(mask.astype(np.uint8), 3).astype(bool)


def test_text_is_column_major_from_one():
    assert parse_rle(TEXT, 4, 3).tolist() == [[1, 4], [10, 2]]
    np.testing.assert_array_equal(runs_to_mask(parse_rle(TEXT, 4, 3), (4, 3)), PICTURE)
    assert format_rle(mask_to_runs(PICTURE)) == TEXT


def test_first_runs_of_the_competition():
    # 5214 high: 6068157 - 1 = 1163 * 5214 + 4274, so row 4274 of column 1163; the next run one column on, 2 rows up.
    runs = parse_rle("6068157 7 6073371 20 6078584 34 6083797 48", 5214, 3676)
    assert runs_box(runs, 5214) == (4272, 1163, 4272 + 48, 1167)
    assert runs_area(runs) == 7 + 20 + 34 + 48


def test_touching_runs_become_one():
    assert parse_rle("2 2 4 2 11 1 12 1", 4, 3).tolist() == [[1, 4], [10, 2]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "at least one run"),
        ("   ", "at least one run"),
        ("1 2 3", "got 3 numbers"),
        ("0 2", "at least 1, got 0"),
        ("3 0", "at least 1, got 0"),
        ("-3 2", "got '-'"),
        ("1 x", "got 'x'"),
        ("1 2.5", r"got '\.'"),
        ("1\t2", "expected digits and spaces"),
        ("\u0661 2", "expected digits and spaces"),
        ("12 2", "got 12 2"),
        ("13 1", "got 13 1"),
        ("1 13", "got 1 13"),
        ("1 99999999999999999999", "within 4 x 3 = 12 pixels"),
        ("9223372036854775807 9223372036854775807", "within 4 x 3 = 12 pixels"),
        ("5 2 1 2", "ascending runs"),
        ("1 3 3 2", "ascending runs"),
    ],
)
def test_bad_text_is_refused_with_its_reason(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_rle(text, 4, 3)


@pytest.mark.fault(table="csv", case="runs unsorted or overlapping", outcome="their union is used, repaired")
def test_unsorted_and_overlapping_runs_are_repaired_to_their_union():
    assert repair_rle("5 2 1 2", 4, 3).tolist() == [[0, 2], [4, 2]]
    assert repair_rle("1 3 3 2", 4, 3).tolist() == [[0, 4]]
    assert repair_rle("1 9 2 1 4 2", 4, 3).tolist() == [[0, 9]]
    assert repair_rle(TEXT, 4, 3).tolist() == parse_rle(TEXT, 4, 3).tolist()


def test_a_million_runs():
    text = " ".join(f"{start} 1" for start in range(1, 2_000_001, 2))
    assert runs_area(parse_rle(text, 2000, 1000)) == 1_000_000


def test_no_runs_and_full_mask():
    empty = np.zeros((0, 2), np.int32)
    assert not runs_to_mask(empty, (4, 3)).any()
    assert mask_to_runs(np.zeros((4, 3), bool)).shape == (0, 2)
    assert format_rle(empty) == ""
    assert resize_runs(empty, (4, 3), (8, 8), centre=False).shape == (0, 2)
    assert mask_to_runs(np.ones((4, 3), np.uint8)).tolist() == [[0, 12]]
    with pytest.raises(ValueError, match="at least one"):
        runs_box(empty, 4)


def test_box_of_hand_made_mask():
    assert runs_box(mask_to_runs(PICTURE), 4) == (0, 0, 4, 3)
    assert runs_box(parse_rle("7 1 10 2", 4, 3), 4) == (1, 1, 3, 3)  # rows 2 | 1,2 of columns 1 | 2


def test_overlap_with_the_next_column():
    """Of PICTURE's 1,2,3,4 | 10,11 (from 0), only 10 - 9 = 1 and 11 - 9 = 2 are inside when shifted by 9."""
    runs = mask_to_runs(PICTURE)
    assert overlap_when_shifted(runs, 9) == 2
    assert overlap_when_shifted(runs, 1) == 3 + 1
    assert overlap_when_shifted(runs, 12) == 0
    assert overlap_when_shifted(runs[:0], 1) == 0


def test_inverses_and_boxes_on_random_masks():
    for mask in random_masks(120):
        height, width = mask.shape
        runs = mask_to_runs(mask)
        np.testing.assert_array_equal(runs_to_mask(runs, mask.shape), mask)
        assert runs_area(runs) == mask.sum()
        if mask.any():
            np.testing.assert_array_equal(parse_rle(format_rle(runs), height, width), runs)
            ys, xs = np.nonzero(mask)
            assert runs_box(runs, height) == (ys.min(), xs.min(), ys.max() + 1, xs.max() + 1)


# pycocotools 2.0.11 was written before NumPy 2's `copy` keyword; nothing of ours.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_agrees_with_pycocotools():
    """COCO's uncompressed counts alternate outside and inside lengths, beginning outside."""
    for mask in random_masks(60):
        height, width = mask.shape
        counts, position = [], 0
        for start, length in mask_to_runs(mask).tolist():
            counts += [start - position, length]
            position = start + length
        counts += [height * width - position] * (position < height * width)
        theirs = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        np.testing.assert_array_equal(coco_mask.decode(theirs), mask)
        assert theirs == coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


@pytest.mark.parametrize("target", [(512, 512), (31, 17), (1, 1), (90, 45)])
def test_resize_is_identical_to_opencv(target):
    for mask in random_masks(60):
        expected = cv2.resize(mask.astype(np.uint8), target[::-1], interpolation=cv2.INTER_NEAREST)
        resized = resize_runs(mask_to_runs(mask), mask.shape, target, centre=False)
        np.testing.assert_array_equal(runs_to_mask(resized, target), expected)
        np.testing.assert_array_equal(resized, mask_to_runs(expected))


def test_resize_from_every_height_is_identical_to_opencv():
    """cv2 rounds the ratio in doubles; whole ratios are where a difference would show."""
    for n_in in [*range(1, 700, 7), 512, 1024, 1536, 2560, 5214, 10717]:
        mask = np.random.default_rng(n_in).random((n_in, 2)) < 0.5
        expected = cv2.resize(mask.astype(np.uint8), (2, 512), interpolation=cv2.INTER_NEAREST)
        resized = resize_runs(mask_to_runs(mask), mask.shape, (512, 2), centre=False)
        np.testing.assert_array_equal(runs_to_mask(resized, (512, 2)), expected)


def test_resize_at_centres_takes_the_middle_pixel():
    """From 9 to 3, pixel i takes 1, 4, 7: the middle of each block; cv2's rule would take 0, 3, 6."""
    source = np.zeros((9, 9), bool)
    source[1, 4] = source[7, 7] = True
    small = runs_to_mask(resize_runs(mask_to_runs(source), (9, 9), (3, 3), centre=True), (3, 3))
    assert np.argwhere(small).tolist() == [[0, 1], [2, 2]]


def test_resize_at_centres_commutes_with_flips():
    for mask in random_masks(30):
        flipped = resize_runs(mask_to_runs(mask[:, ::-1]), mask.shape, (33, 33), centre=True)
        straight = resize_runs(mask_to_runs(mask), mask.shape, (33, 33), centre=True)
        if all(n * 33 % 2 for n in mask.shape):  # no pixel centre falls on a border
            np.testing.assert_array_equal(
                runs_to_mask(flipped, (33, 33)), runs_to_mask(straight, (33, 33))[:, ::-1]
            )
