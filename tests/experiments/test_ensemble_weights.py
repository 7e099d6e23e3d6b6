"""Weights by category: found where runs differ, and never fitted on the photos that they are used on."""

from __future__ import annotations

import numpy as np
import pytest

from fashionseg.data.rle import mask_to_runs
from fashionseg.data.truths import Truths
from fashionseg.detections.store import Detections
from fashionseg.experiments.ensemble_weights import LEAST_INSTANCES, candidate_weights, fit_weights

NAMES = ("hat", "shoe", "belt")
PHOTOS = tuple(f"{number:02d}" for number in range(24))
HAT, SHOE, BELT = range(3)
BOXES = {HAT: (0.0, 0.25, 0.25, 0.75), SHOE: (0.5, 0.25, 0.75, 0.75), BELT: (0.375, 0.25, 0.4375, 0.75)}
ELSEWHERE = (0.8, 0.0, 1.0, 0.2)
FOLDS = np.arange(len(PHOTOS)) % 3


def truths() -> Truths:
    """A hat and a shoe on each photo, a belt on a few."""
    rows = [(photo, category) for photo in range(len(PHOTOS)) for category in categories_on(photo)]
    masks = []
    for _, category in rows:
        mask = np.zeros((512, 512), bool)
        y1, x1, y2, x2 = (round(512 * edge) for edge in BOXES[category])
        mask[y1:y2, x1:x2] = True
        masks.append(mask_to_runs(mask))
    photo_index, categories = (np.array(column) for column in zip(*rows, strict=True))
    return Truths(
        PHOTOS,
        photo_index.astype(np.int32),
        categories.astype(np.int16),
        tuple(str(category) for category in categories),
        tuple(masks),
    )


def categories_on(photo: int) -> tuple[int, ...]:
    return (HAT, SHOE, BELT) if photo < LEAST_INSTANCES - 1 else (HAT, SHOE)


def run(good: set[int], photos_where_all_is_wrong: set[int] | None = None) -> Detections:
    """Finds the good categories exactly, and surely finds the others where they are not."""
    rows = []
    for photo in range(len(PHOTOS)):
        for category in categories_on(photo):
            right = category in good and photo not in (photos_where_all_is_wrong or set())
            rows.append((photo, category, 0.9 if right else 0.95, BOXES[category] if right else ELSEWHERE))
    photo_index, categories, scores, boxes = (np.array(column) for column in zip(*rows, strict=True))
    return Detections.build(
        PHOTOS, photo_index, categories, scores, boxes, np.full((len(rows), 28, 28), 255, np.uint8)
    )


def test_candidates_begin_with_equal_weights() -> None:
    two = candidate_weights(2)
    np.testing.assert_allclose(two, [[1 / 2, 1 / 2], [2 / 3, 1 / 3], [1 / 3, 2 / 3], [1, 0], [0, 1]])
    three = candidate_weights(3)
    assert len(three) == 10
    np.testing.assert_allclose(three.sum(axis=1), 1.0)
    assert [0.0, 0.5, 0.5] in three.tolist()


def test_each_category_follows_the_run_that_knows_it_and_a_rare_one_follows_none() -> None:
    knows_hats, knows_shoes = run({HAT, BELT}), run({SHOE})
    fitted = fit_weights([knows_hats, knows_shoes], truths(), FOLDS, NAMES)
    for weights in (fitted.final, *fitted.of_folds):
        assert weights[HAT, 0] > 0.6
        assert weights[SHOE, 1] > 0.6
    assert fitted.final[BELT].tolist() == [0.5, 0.5]
    fused = fitted.fuse_validation([knows_hats, knows_shoes])
    hats = fused.categories == HAT
    right = np.abs(fused.boxes_norm - BOXES[HAT]).max(axis=1) < 1e-3
    assert fused.scores[hats & right].min() > fused.scores[hats & ~right].max(initial=0.0)


@pytest.mark.parametrize("fold", range(3))
def test_the_weights_of_a_fold_do_not_depend_on_its_own_photos(fold: int) -> None:
    own = set(np.flatnonzero(fold == FOLDS).tolist())
    one, other = (
        fit_weights([run({HAT}, wrong), run({SHOE})], truths(), FOLDS, NAMES) for wrong in (set(), own)
    )
    np.testing.assert_array_equal(one.of_folds[fold], other.of_folds[fold])
