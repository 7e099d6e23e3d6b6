"""The search equals trying every combination one by one, and the reported score is out-of-fold."""

from dataclasses import replace

import numpy as np
import pytest

from drawn_photos import draw_photo
from fashionseg.data.rle import mask_to_runs
from fashionseg.detections.instances import Thresholds, find_instances
from fashionseg.detections.photos import PhotoDetections, PhotoTruths
from fashionseg.metrics.calibration import assign_folds, calibrate, grid_scores
from fashionseg.metrics.competition import match_photo, match_table, photo_scores
from fashionseg.metrics.grid_levels import Grid
from fashionseg.metrics.outcomes import judge_photos

GRID = Grid(scores=(0.2, 0.4, 0.7), nms=(0.3, 0.6), masks=(0.4, 0.5), min_areas=(0, 500, 5000))


def folds(photos, num_folds):
    """Every photo is a group."""
    return assign_folds(np.arange(len(photos)), num_folds)


def score_one_by_one(photos, thresholds, label="category"):
    matches = []
    for detections, truths in photos:
        instances = find_instances(detections, thresholds)
        labels = [instance.category for instance in instances]
        masks = [instance.mask for instance in instances]
        truth_labels = truths.categories.tolist()
        if label == "classid":
            labels, truth_labels = [str(category) for category in labels], list(truths.class_ids)
        matches.append(match_photo(labels, masks, truth_labels, truths.masks()))
    return photo_scores(match_table(matches))


@pytest.mark.parametrize(
    ("label", "categories"), [("category", None), ("classid", None), ("classid", (0, 2)), ("category", (1,))]
)
def test_every_combination_scores_as_the_submission_would(photos, label, categories):
    found = grid_scores(photos, GRID, label, categories)
    assert found.shape == (36, len(photos))
    for row, thresholds in zip(found, GRID.combinations(), strict=True):
        expected = score_one_by_one(photos, replace(thresholds, categories=categories), label)
        np.testing.assert_allclose(row, expected, atol=1e-12)
    if (label, categories) == ("category", None):
        assert len(np.unique(found.mean(axis=1).round(9))) > 15  # the settings matter on these photos


WITH_GARMENTS = replace(GRID, nms=(0.6,), garment_nms=(0.2, 0.6, 1.0), garments=(0, 1))


@pytest.mark.parametrize("label", ["category", "classid"])
def test_every_combination_with_garment_nms_scores_as_the_submission_would(label):
    rng = np.random.default_rng(3)
    photos = [draw_photo(rng, 4, 25, 3) for _ in range(4)]
    combinations = WITH_GARMENTS.combinations()
    found = grid_scores(photos, WITH_GARMENTS, label)
    assert found.shape == (54, len(photos))
    for row, thresholds in zip(found, combinations, strict=True):
        np.testing.assert_allclose(row, score_one_by_one(photos, thresholds, label), atol=1e-12)
    by_garment_nms = [
        found[[its.garment_nms == value for its in combinations]].mean()
        for value in WITH_GARMENTS.garment_nms
    ]
    assert len(set(by_garment_nms)) == 3  # the setting matters on these photos


def test_garment_nms_of_one_gives_the_grid_without_it(photos):
    off = replace(GRID, garments=(0, 1))
    assert off.combinations() == GRID.combinations()
    np.testing.assert_array_equal(grid_scores(photos, off), grid_scores(photos, GRID))


def test_garment_nms_is_fitted_out_of_fold(photos):
    found = calibrate(photos, WITH_GARMENTS, folds(photos, 4))
    expected = [score_one_by_one([photo], found.of_photo(place))[0] for place, photo in enumerate(photos)]
    assert found.out_of_fold == pytest.approx(np.mean(expected))
    assert score_one_by_one(photos, found.final).mean() == pytest.approx(found.in_sample)


def test_of_two_garments_at_one_place_the_lower_score_is_dropped_where_that_pays():
    # Each dress is also found as a coat of a lower score: without the coat 1, with it 1/2.
    detections, truths = perfect_photo(str(DRESS))
    twice = PhotoDetections(
        np.array([DRESS, COAT], np.int16),
        np.array([0.9, 0.8], np.float32),
        np.repeat(detections.boxes_norm, 2, axis=0),
        np.repeat(detections.mask_probs, 2, axis=0),
    )
    grid = replace(ONE, garment_nms=(0.7, 1.0), garments=(COAT, DRESS))
    found = calibrate([(twice, truths)] * 4, grid, np.arange(4) % 2)
    assert (found.final.garment_nms, found.final.garments) == (0.7, (COAT, DRESS))
    assert found.out_of_fold == 1.0
    assert grid_scores([(twice, truths)], grid).ravel().tolist() == [1.0, 0.5]


def test_the_best_combination_is_chosen(photos):
    found = calibrate(photos, GRID, folds(photos, 4))
    means = [score_one_by_one(photos, thresholds).mean() for thresholds in GRID.combinations()]
    assert found.in_sample == pytest.approx(max(means))
    assert score_one_by_one(photos, found.final).mean() == pytest.approx(max(means))


def test_thresholds_of_a_fold_do_not_see_its_photos(photos):
    """Control: photos of other folds do change them."""
    before = calibrate(photos, GRID, folds(photos, 4))
    no_truths = photos[3][1]
    blind = [
        (detections, no_truths if place % 4 == 2 else truths)
        for place, (detections, truths) in enumerate(photos)
    ]
    after = calibrate(blind, GRID, folds(photos, 4))
    assert after.fold_thresholds[2] == before.fold_thresholds[2]
    assert after.fold_thresholds[0] != before.fold_thresholds[0] or after.final != before.final


def test_out_of_fold_is_the_score_of_each_photo_under_its_own_folds_thresholds(photos):
    found = calibrate(photos, GRID, folds(photos, 4))
    expected = [score_one_by_one([photo], found.of_photo(place))[0] for place, photo in enumerate(photos)]
    assert found.out_of_fold == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("num_folds", [2, 3, 8, 50])
def test_out_of_fold_never_beats_in_sample(photos, num_folds):
    """Holds by construction: what is best for the others and not for all cannot be better on the fold itself."""
    found = calibrate(photos, GRID, folds(photos, num_folds))
    assert found.out_of_fold <= found.in_sample + 1e-12


def test_with_one_photo_out_of_fold_equals_in_sample(photos):
    found = calibrate(photos[:1], GRID, folds(photos[:1], 5))
    assert found.out_of_fold == found.in_sample


def test_no_photos_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        calibrate([], GRID, folds([], 5))


def test_the_outcome_agrees_with_the_search(photos):
    found = calibrate(photos, GRID, folds(photos, 4))
    outcomes = judge_photos(photos, [found.of_photo(place) for place in range(len(photos))], found.final)
    out_of_fold = match_table([outcome.out_of_fold for outcome in outcomes])
    assert photo_scores(out_of_fold).mean() == pytest.approx(found.out_of_fold)
    final = match_table([outcome.final for outcome in outcomes])
    assert photo_scores(final).mean() == pytest.approx(found.in_sample)


def test_confusions_contain_every_truth_and_instance_once(photos):
    found = calibrate(photos, GRID, folds(photos, 4))
    outcomes = judge_photos(photos, [found.final] * len(photos), found.final)
    for (detections, truths), outcome in zip(photos, outcomes, strict=True):
        actual = [pair[0] for pair in outcome.confusions if pair[0] >= 0]
        predicted = [pair[1] for pair in outcome.confusions if pair[1] >= 0]
        assert sorted(actual) == sorted(truths.categories.tolist())
        assert sorted(predicted) == sorted(its.category for its in find_instances(detections, found.final))
        right = sum(a == b for a, b in outcome.confusions)
        assert right == outcome.final.counts[:, 2].sum()


def test_photos_of_a_group_are_in_one_fold():
    # groups 4, 7, 1 and 9 take turns in the order of their first photos
    assert assign_folds(np.array([4, 7, 4, 1, 7, 9]), 3).tolist() == [0, 1, 0, 2, 1, 0]


def test_without_groups_folds_are_by_position():
    assert assign_folds(np.arange(7), 3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert assign_folds(np.arange(2), 5).tolist() == [0, 1]


def test_thresholds_of_a_fold_do_not_see_a_near_duplicate(photos):
    """Photo 3 repeats photo 2: by position it is in another fold and decides the thresholds that photo 2 is scored
    with; in a group it does not."""
    group = np.array([0, 1, 2, 2, 4, 5, 6, 7])
    grouped = assign_folds(group, 7)
    assert grouped[2] == grouped[3]
    before = calibrate(photos, GRID, grouped)
    blind = [*photos[:3], (photos[3][0], photos[0][1]), *photos[4:]]
    after = calibrate(blind, GRID, grouped)
    assert after.of_photo(2) == before.of_photo(2)


COAT, DRESS, SLEEVE = 9, 10, 31
ONE = Grid(scores=(0.5,), nms=(0.5,), masks=(0.5,), min_areas=(0,))
PLACES = {DRESS: [0, 0, 300, 300], SLEEVE: [400, 0, 500, 100]}


def perfect_photo(*class_ids):
    """Objects of these ClassIds at the places of their categories, all found exactly."""
    categories = [int(class_id.split("_")[0]) for class_id in class_ids]
    runs = []
    for category in categories:
        mask = np.zeros((512, 512), bool)
        y1, x1, y2, x2 = PLACES[category]
        mask[y1:y2, x1:x2] = True
        runs.append(mask_to_runs(mask))
    detections = PhotoDetections(
        np.array(categories, np.int16),
        np.full(len(categories), 0.9, np.float32),
        np.array([PLACES[category] for category in categories], np.float32) / 512,
        np.full((len(categories), 28, 28), 255, np.uint8),
    )
    return detections, PhotoTruths(np.array(categories, np.int16), class_ids, tuple(runs))


def fit_by_class_id(photos, grid=ONE, num_folds=2):
    return calibrate(photos, grid, folds(photos, num_folds), "classid", num_categories=46)


def test_a_category_that_costs_more_than_it_brings_is_not_submitted():
    # labels 31 (score 1), 10_3 (missed) and 10 (predicted only): 1/3; without the dress 1/2
    photos = [perfect_photo("31", "10_3")] * 4
    assert grid_scores(photos, ONE, "classid")[0] == pytest.approx([1 / 3] * 4)
    found = fit_by_class_id(photos)
    assert found.final.categories == tuple(category for category in range(46) if category != DRESS)
    assert found.in_sample == found.out_of_fold == pytest.approx(1 / 2)
    assert {thresholds.categories for thresholds in found.fold_thresholds} == {found.final.categories}
    assert score_one_by_one(photos, found.final, "classid").mean() == pytest.approx(1 / 2)


def test_a_category_that_brings_more_than_it_costs_is_submitted():
    # Each photo of a dress with attributes gains 1/6 without dresses; the photo of a plain dress loses 1.
    def photos(count):
        return [perfect_photo("31", "10_3")] * count + [perfect_photo("10")]

    assert fit_by_class_id(photos(5)).final.categories is None
    assert DRESS not in fit_by_class_id(photos(7)).final.categories


def test_all_categories_are_submitted_where_the_label_is_the_category():
    photos = [perfect_photo("31", "10_3")] * 4
    found = calibrate(photos, ONE, folds(photos, 2), "category", num_categories=46)
    assert (found.final.categories, found.in_sample) == (None, 1.0)


def test_the_submitted_categories_of_a_fold_do_not_see_its_photos():
    # Fold 0 has the only photos with a plain dress: its own thresholds are fitted where every dress has attributes.
    plain, rich = perfect_photo("10"), perfect_photo("31", "10_3")
    found = fit_by_class_id([plain, rich, plain, rich])
    assert DRESS not in found.fold_thresholds[0].categories
    assert found.fold_thresholds[1].categories is None
    # the plain dresses are not submitted: 0; the rich photos submit all: 1/3
    assert found.out_of_fold == pytest.approx(1 / 6)


def test_thresholds_and_categories_are_searched_in_turn():
    """With every category submitted a high score threshold pays, as it drops the dresses; without dresses it costs."""
    photos = []
    for _ in range(4):
        detections, truths = perfect_photo("31", "10_3")
        scores = np.array([0.4, 0.3], np.float32)
        photos.append((replace(detections, scores=scores), truths))
        detections, truths = perfect_photo("10_3")
        photos.append((replace(detections, scores=np.array([0.6], np.float32)), truths))
    grid = replace(ONE, scores=(0.2, 0.5, 0.7))
    found = fit_by_class_id(photos, grid)
    assert found.final == replace(
        Thresholds(0.2, 0.5, 0.5, 0),
        categories=tuple(category for category in range(46) if category != DRESS),
    )
    # photos of the first kind 1/2, of the second kind 0
    assert found.in_sample == pytest.approx(1 / 4)


@pytest.mark.parametrize("num_folds", [2, 4])
def test_out_of_fold_by_class_id_is_what_the_submission_would_score(photos, num_folds):
    found = calibrate(photos, GRID, folds(photos, num_folds), "classid", num_categories=3)
    expected = [
        score_one_by_one([photo], found.of_photo(place), "classid")[0] for place, photo in enumerate(photos)
    ]
    assert found.out_of_fold == pytest.approx(np.mean(expected))
    assert score_one_by_one(photos, found.final, "classid").mean() == pytest.approx(found.in_sample)
    every = grid_scores(photos, GRID, "classid").mean(axis=1).max()
    assert found.in_sample >= every - 1e-12
