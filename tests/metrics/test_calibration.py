"""The search finds what trying every combination one by one finds, and its report is out-of-fold."""

import numpy as np
import pytest

from fashionseg.detections.instances import find_instances
from fashionseg.metrics.calibration import Grid, calibrate, grid_scores
from fashionseg.metrics.competition import match_photo, match_table, photo_scores
from fashionseg.metrics.outcomes import judge_photos

GRID = Grid(scores=(0.2, 0.4, 0.7), nms=(0.3, 0.6), masks=(0.4, 0.5), min_areas=(0, 500, 5000))


def score_one_by_one(photos, thresholds):
    matches = []
    for detections, truths in photos:
        instances = find_instances(detections, thresholds)
        labels = [instance.category for instance in instances]
        masks = [instance.mask for instance in instances]
        matches.append(match_photo(labels, masks, truths.categories.tolist(), truths.masks()))
    return photo_scores(match_table(matches))


def test_every_combination_scores_as_the_submission_would(photos):
    found = grid_scores(photos, GRID)
    assert found.shape == (36, len(photos))
    for row, thresholds in zip(found, GRID.combinations(), strict=True):
        np.testing.assert_allclose(row, score_one_by_one(photos, thresholds), atol=1e-12)
    assert len(np.unique(found.mean(axis=1).round(9))) > 15  # the settings matter on these photos


def test_the_best_combination_is_chosen(photos):
    found = calibrate(photos, GRID, num_folds=4)
    means = [score_one_by_one(photos, thresholds).mean() for thresholds in GRID.combinations()]
    assert found.in_sample == pytest.approx(max(means))
    assert score_one_by_one(photos, found.final).mean() == pytest.approx(max(means))


def test_thresholds_of_a_fold_do_not_see_its_photos(photos):
    """Control: photos of other folds do change them."""
    before = calibrate(photos, GRID, num_folds=4)
    no_truths = photos[3][1]
    blind = [
        (detections, no_truths if place % 4 == 2 else truths)
        for place, (detections, truths) in enumerate(photos)
    ]
    after = calibrate(blind, GRID, num_folds=4)
    assert after.fold_thresholds[2] == before.fold_thresholds[2]
    assert after.fold_thresholds[0] != before.fold_thresholds[0] or after.final != before.final


def test_out_of_fold_is_the_score_of_each_photo_under_its_own_folds_thresholds(photos):
    found = calibrate(photos, GRID, num_folds=4)
    expected = [score_one_by_one([photo], found.of_photo(place))[0] for place, photo in enumerate(photos)]
    assert found.out_of_fold == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("num_folds", [2, 3, 8, 50])
def test_out_of_fold_never_beats_in_sample(photos, num_folds):
    """Holds by construction: what is best for the others and not for all cannot be better on the fold itself."""
    found = calibrate(photos, GRID, num_folds)
    assert found.out_of_fold <= found.in_sample + 1e-12


def test_one_photo_has_no_other_to_fit_on(photos):
    found = calibrate(photos[:1], GRID, num_folds=5)
    assert found.out_of_fold == found.in_sample


def test_no_photo_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        calibrate([], GRID, num_folds=5)


def test_the_outcome_agrees_with_the_search(photos):
    found = calibrate(photos, GRID, num_folds=4)
    outcomes = judge_photos(photos, [found.of_photo(place) for place in range(len(photos))], found.final)
    out_of_fold = match_table([outcome.out_of_fold for outcome in outcomes])
    assert photo_scores(out_of_fold).mean() == pytest.approx(found.out_of_fold)
    final = match_table([outcome.final for outcome in outcomes])
    assert photo_scores(final).mean() == pytest.approx(found.in_sample)


def test_confusions_name_every_truth_and_every_instance_once(photos):
    found = calibrate(photos, GRID, num_folds=4)
    outcomes = judge_photos(photos, [found.final] * len(photos), found.final)
    for (detections, truths), outcome in zip(photos, outcomes, strict=True):
        actual = [pair[0] for pair in outcome.confusions if pair[0] >= 0]
        predicted = [pair[1] for pair in outcome.confusions if pair[1] >= 0]
        assert sorted(actual) == sorted(truths.categories.tolist())
        assert sorted(predicted) == sorted(its.category for its in find_instances(detections, found.final))
        right = sum(a == b for a, b in outcome.confusions)
        assert right == outcome.final.counts[:, 2].sum()
