"""Weighted box fusion, by hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest

from fashionseg.detections.fusion import fuse, mirror
from fashionseg.detections.paste import paste_runs
from fashionseg.detections.store import Detections, no_detections

M = 28


def detections(*rows: tuple[int, float, list[float]], photo: int = 0, fill: int = 255) -> Detections:
    """Of the photos a and b; rows of category, score and box."""
    return Detections.build(
        ["a", "b"],
        np.full(len(rows), photo),
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
        np.full((len(rows), M, M), fill, np.uint8),
    )


def test_overlapping_boxes_of_a_category_are_averaged_by_score() -> None:
    fused = fuse([detections((3, 0.9, [0.0, 0.0, 0.4, 0.4])), detections((3, 0.3, [0.0, 0.0, 0.4, 0.48]))])
    assert fused.categories.tolist() == [3]
    np.testing.assert_allclose(fused.boxes_norm, [[0.0, 0.0, 0.4, 0.75 * 0.4 + 0.25 * 0.48]], rtol=1e-6)
    np.testing.assert_allclose(fused.scores, [0.6], rtol=1e-6)


@pytest.mark.parametrize(
    "other",
    [
        detections((4, 0.8, [0.0, 0.0, 0.4, 0.4])),
        detections((3, 0.8, [0.0, 0.2, 0.4, 0.6])),
        detections((3, 0.8, [0.0, 0.0, 0.4, 0.4]), photo=1),
    ],
    ids=["another category", "too little overlap", "another photo"],
)
def test_what_one_set_finds_alone_keeps_its_box_and_half_its_score(other: Detections) -> None:
    fused = fuse([detections((3, 0.9, [0.0, 0.0, 0.4, 0.4])), other])
    assert len(fused) == 2
    np.testing.assert_allclose(sorted(fused.scores), [0.4, 0.45], rtol=1e-6)


def test_weights_are_those_of_votes() -> None:
    sets = [detections((3, 0.9, [0.0, 0.0, 0.4, 0.4])), detections((3, 0.9, [0.0, 0.0, 0.4, 0.48]))]
    fused = fuse(sets, [3, 1])
    np.testing.assert_allclose(fused.boxes_norm[0, 3], 0.42, rtol=1e-6)
    np.testing.assert_allclose(fuse(sets, [1, 0]).boxes_norm, sets[0].boxes_norm)


def test_weights_by_category_are_those_of_each_category_alone() -> None:
    rows = [(0, 0.8, [0.0, 0.0, 0.4, 0.4]), (1, 0.8, [0.5, 0.5, 0.9, 0.9])]
    shifted = [(0, 0.6, [0.0, 0.0, 0.4, 0.48]), (1, 0.6, [0.5, 0.5, 0.9, 0.98])]
    sets = [detections(*rows), detections(*shifted)]
    fused = fuse(sets, np.array([[1.0, 0.0], [1.0, 3.0]]))
    by_category = {int(category): row for row, category in enumerate(fused.categories)}
    np.testing.assert_allclose(fused.scores[by_category[0]], 0.8, rtol=1e-6)
    np.testing.assert_allclose(fused.boxes_norm[by_category[0], 3], 0.4, rtol=1e-6)
    np.testing.assert_allclose(fused.scores[by_category[1]], 0.25 * 0.8 + 0.75 * 0.6, rtol=1e-6)
    # Votes 1/4 * 0.8 = 0.2 and 3/4 * 0.6 = 0.45.
    np.testing.assert_allclose(
        fused.boxes_norm[by_category[1], 3], (0.2 * 0.9 + 0.45 * 0.98) / 0.65, rtol=1e-6
    )


def test_a_set_votes_once_in_a_cluster() -> None:
    twice = detections((3, 0.9, [0.0, 0.0, 0.4, 0.4]), (3, 0.8, [0.0, 0.0, 0.4, 0.42]))
    fused = fuse([twice, detections((3, 0.5, [0.0, 0.0, 0.4, 0.4]))])
    np.testing.assert_allclose(fused.scores, [0.7], rtol=1e-6)


def test_one_set_alone_stays_as_it_is() -> None:
    alone = detections((3, 0.9, [0.0, 0.0, 0.4, 0.4]), (5, 0.8, [0.5, 0.5, 1.0, 1.0]))
    alone.mask_probs[:] = np.arange(M * M).reshape(M, M) % 251
    fused = fuse([alone])
    np.testing.assert_allclose(fused.boxes_norm, alone.boxes_norm, atol=1e-6)
    assert np.abs(fused.mask_probs.astype(int) - alone.mask_probs).max() <= 1


def test_masks_are_averaged_where_they_lie_in_the_photo() -> None:
    """Boxes of columns 0 to 40 and 10 to 50 of 100, full masks of equal score: half certain in the outer parts."""
    sets = [
        detections((3, 0.9, [0.0, 0.0, 0.4, 0.40])),
        detections((3, 0.9, [0.0, 0.1, 0.4, 0.50])),
    ]
    fused = fuse(sets, iou=0.3)
    np.testing.assert_allclose(fused.boxes_norm, [[0.0, 0.05, 0.4, 0.45]], rtol=1e-6)
    line = fused.mask_probs[0, M // 2]
    assert line[0] == line[-1] == 128
    assert line[M // 2] == 255
    assert (np.diff(line.astype(int))[: M // 2] >= 0).all()


def test_a_mask_in_a_larger_frame_covers_the_same_pixels() -> None:
    """The edge moves by less than a cell of the larger grid."""
    small = detections((3, 0.9, [0.2, 0.2, 0.6, 0.6]))
    small.mask_probs[:, :, M // 2 :] = 0
    far = detections((3, 1e-6, [0.0, 0.0, 0.8, 0.8]), fill=0)
    fused = fuse([small, far], iou=0.2)
    height = width = 200
    areas = [
        int(paste_runs(each.mask_probs[0], each.boxes_norm[0], (height, width), 0.5)[:, 1].sum())
        for each in (small, fused)
    ]
    assert areas[1] == pytest.approx(areas[0], rel=0.08)


def test_photos_without_detections_stay() -> None:
    empty = no_detections(["a", "b"])
    assert fuse([empty, empty]).photos == ("a", "b")
    assert len(fuse([empty, empty])) == 0
    assert len(fuse([empty, detections((3, 0.9, [0.0, 0.0, 0.4, 0.4]))])) == 1


def test_sets_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="same photos"):
        fuse([no_detections(["a"]), no_detections(["b"])])
    for weights in ([1], [0, 0], [1, -1]):
        with pytest.raises(ValueError, match="weights: expected 2"):
            fuse([no_detections(["a"])] * 2, weights)


def test_mirrored_twice_is_the_original() -> None:
    one = detections((3, 0.75, [0.125, 0.25, 0.5, 0.875]))
    one.mask_probs[:, :, 0] = 0
    mirrored = mirror(one)
    assert mirrored.boxes_norm.tolist() == [[0.125, 0.125, 0.5, 0.75]]
    assert (mirrored.mask_probs[0, :, -1] == 0).all()
    again = mirror(mirrored)
    assert again.boxes_norm.tolist() == one.boxes_norm.tolist()
    assert (again.mask_probs == one.mask_probs).all()
