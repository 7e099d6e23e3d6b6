"""From detections to instances: NMS, shared pixels, small remains."""

import numpy as np
import pytest

from fashionseg.data.rle import runs_to_mask
from fashionseg.detections.bit_masks import to_runs
from fashionseg.detections.instances import Thresholds, box_ious, find_instances, suppress
from fashionseg.detections.photos import PhotoDetections
from fashionseg.taxonomy import competition_taxonomy


def detections(*rows):
    """(category, score, box in pixels of 512), certain masks, by falling score."""
    return PhotoDetections(
        np.array([row[0] for row in rows], np.int16),
        np.array([row[1] for row in rows], np.float32),
        np.array([row[2] for row in rows], np.float32).reshape(-1, 4) / 512,
        np.full((len(rows), 28, 28), 255, np.uint8),
    )


def thresholds(**changed):
    return Thresholds(**{"score": 0.1, "nms": 1.0, "mask": 0.5, "min_area": 0, **changed})


def test_box_iou_by_hand():
    # 10 x 10 and 10 x 10 shifted by 5: 50 shared of 150
    found = box_ious(np.array([[0, 0, 10, 10]]), np.array([[0, 5, 10, 15], [0, 20, 10, 30], [5, 5, 5, 5]]))
    np.testing.assert_allclose(found, [[1 / 3, 0, 0]])


def test_pixels_of_one_category_belong_to_the_higher_score():
    photo = detections((6, 0.9, [0, 0, 100, 100]), (6, 0.8, [0, 50, 100, 150]))
    areas = [instance.mask.area for instance in find_instances(photo, thresholds())]
    assert areas == [10000, 5000]


def test_different_categories_may_share_pixels():
    photo = detections((10, 0.9, [0, 0, 100, 100]), (31, 0.8, [0, 0, 50, 50]))
    assert [instance.mask.area for instance in find_instances(photo, thresholds())] == [10000, 2500]


def test_nms_drops_the_lower_score_of_one_category_only():
    photo = detections(
        (6, 0.9, [0, 0, 100, 100]), (6, 0.8, [0, 10, 100, 110]), (7, 0.7, [0, 0, 100, 100])
    )  # IoU 90 / 110 = 0.82
    assert [its.row for its in find_instances(photo, thresholds(nms=0.8))] == [0, 2]
    assert [its.row for its in find_instances(photo, thresholds(nms=0.83))] == [0, 1, 2]


def test_categories_that_are_not_submitted_are_dropped():
    photo = detections((10, 0.9, [0, 0, 100, 100]), (31, 0.8, [0, 0, 50, 50]), (32, 0.7, [0, 0, 50, 50]))
    assert [its.row for its in find_instances(photo, thresholds(categories=(10, 32)))] == [0, 2]
    assert find_instances(photo, thresholds(categories=())) == []


def test_a_suppressed_box_suppresses_no_other():
    # 0 and 1 overlap, 1 and 2 overlap, 0 and 2 do not
    boxes = np.array([[0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18]])
    kept = suppress(np.array([5, 5, 5]), boxes, [(0.3, 1.0), (0.99, 1.0)])
    assert kept.tolist() == [[True, False, True], [True, True, True]]


GARMENTS = competition_taxonomy().garments
JACKET, COAT, SLEEVE = 4, 9, 31


def test_garments_are_the_categories_of_whole_garments():
    names = competition_taxonomy().category_names
    assert tuple(range(13)) == GARMENTS
    assert (names[12], names[13]) == ("cape", "glasses")


def test_of_overlapping_boxes_of_different_garments_the_lower_score_is_dropped():
    photo = detections(
        (COAT, 0.9, [0, 0, 100, 100]),
        (SLEEVE, 0.8, [0, 0, 100, 100]),  # not a garment
        (JACKET, 0.7, [0, 10, 100, 110]),  # IoU with the coat 90 / 110 = 0.82
    )

    def rows(garment_nms, garments=GARMENTS):
        found = find_instances(photo, thresholds(garment_nms=garment_nms, garments=garments))
        return [its.row for its in found]

    assert rows(0.8) == [0, 1]
    assert rows(0.83) == rows(1.0) == [0, 1, 2]
    assert rows(0.8, garments=(JACKET,)) == [0, 1, 2]


def test_identical_boxes_of_different_garments_are_kept_where_garment_nms_is_off():
    photo = detections((COAT, 0.9, [0, 0, 100, 100]), (JACKET, 0.7, [0, 0, 100, 100]))
    assert len(find_instances(photo, thresholds(garment_nms=1.0, garments=GARMENTS))) == 2


def test_a_garment_suppressed_by_another_suppresses_neither_its_own_category_nor_others():
    # The coat drops the first jacket (IoU 6 / 14), which would have dropped the second (6 / 14 too); the coat and the
    # second share 2 of 18.
    boxes = np.array([[0, 0, 10, 10], [0, 4, 10, 14], [0, 8, 10, 18]])
    limits = [(0.3, 0.3), (0.3, 0.5), (0.3, 1.0), (0.5, 0.3)]
    kept = suppress(np.array([COAT, JACKET, JACKET]), boxes, limits, GARMENTS)
    every = [True, True, False]
    assert kept.tolist() == [[True, False, True], every, every, [True, False, True]]


def test_a_garment_that_is_not_submitted_suppresses_the_others():
    """Calibration searches the submitted categories with the suppression of all."""
    photo = detections((COAT, 0.9, [0, 0, 100, 100]), (JACKET, 0.7, [0, 0, 100, 100]))
    found = find_instances(photo, thresholds(garment_nms=0.8, garments=GARMENTS, categories=(JACKET,)))
    assert found == []


def test_an_instance_below_the_minimum_area_is_dropped_and_claims_no_pixels():
    # 1 keeps 400 of its 1000 pixels; if that is too few, 2 keeps those that 1 would have taken
    photo = detections((6, 0.9, [0, 0, 10, 60]), (6, 0.8, [0, 0, 10, 100]), (6, 0.7, [0, 50, 100, 100]))
    found = find_instances(photo, thresholds(min_area=401))
    assert [(its.row, its.mask.area) for its in found] == [(0, 600), (2, 4900)]
    found = find_instances(photo, thresholds(min_area=400))
    assert [(its.row, its.mask.area) for its in found] == [(0, 600), (1, 400), (2, 4500)]


def test_a_fully_covered_instance_is_dropped_without_a_minimum_area():
    photo = detections((6, 0.9, [0, 0, 100, 100]), (6, 0.8, [20, 20, 40, 40]))
    assert [its.row for its in find_instances(photo, thresholds())] == [0]


def test_a_score_at_the_threshold_is_kept():
    photo = detections((6, 0.7, [0, 0, 9, 9]), (7, 0.3, [0, 0, 9, 9]))
    assert [its.row for its in find_instances(photo, thresholds(score=0.7))] == [0]
    assert [its.row for its in find_instances(photo, thresholds(score=0.3))] == [0, 1]


def test_no_detections():
    assert find_instances(detections(), thresholds()) == []


@pytest.mark.parametrize("garment_nms", [0.3, 1.0])
@pytest.mark.parametrize("score", [0.2, 0.4, 0.55, 0.7])
def test_a_higher_score_threshold_only_removes_the_last_instances(photos, score, garment_nms):
    """Calibration reads all score thresholds off one pass because of this."""
    settings = {"nms": 0.5, "min_area": 100, "garment_nms": garment_nms, "garments": (0, 1, 2)}
    for photo, _ in photos:
        every = find_instances(photo, thresholds(**settings))
        fewer = find_instances(photo, thresholds(**settings, score=score))
        expected = [its for its in every if its.score >= np.float32(score)]
        assert [its.row for its in fewer] == [its.row for its in expected]
        for ours, theirs in zip(fewer, expected, strict=True):
            np.testing.assert_array_equal(to_runs(ours.mask), to_runs(theirs.mask))


def test_instances_of_a_category_share_no_pixel(photos):
    for photo, _ in photos:
        for category in range(3):
            rasters = [
                runs_to_mask(to_runs(its.mask), (512, 512))
                for its in find_instances(photo, thresholds())
                if its.category == category
            ]
            assert np.sum(rasters, axis=0, dtype=int).max() <= 1 if rasters else True
