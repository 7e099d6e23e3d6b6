"""Areas and IoUs of the detections and truths of a photo, by hand."""

import numpy as np
import pytest

from fashionseg.data.rle import format_rle, mask_to_runs, parse_rle, runs_to_mask
from fashionseg.detections.bit_masks import to_runs
from fashionseg.detections.paste import find_taps, paste_bits
from fashionseg.detections.photos import PhotoDetections, PhotoTruths
from fashionseg.metrics.coco_overlaps import overlaps_of_photos


def overlaps(found, truths, probability=255):
    """Of (category, box in pixels) each; detections fill their boxes."""
    boxes = np.array([box for _, box in found], np.float32).reshape(-1, 4) / 512
    detections = PhotoDetections(
        np.array([category for category, _ in found], np.int16),
        np.linspace(0.9, 0.1, len(found)).astype(np.float32),
        boxes,
        np.full((len(found), 28, 28), probability, np.uint8),
    )
    rles = []
    for _, (y1, x1, y2, x2) in truths:
        mask = np.zeros((512, 512), bool)
        mask[y1:y2, x1:x2] = True
        rles.append(format_rle(mask_to_runs(mask)))
    categories = np.array([category for category, _ in truths], np.int16)
    (its,) = overlaps_of_photos([(detections, PhotoTruths(categories, ("",) * len(rles), tuple(rles)))])
    return its


def test_two_rectangles_by_hand():
    # 100 x 100 each, 100 x 80 in common: 8000 / 12000
    its = overlaps([(1, [0, 0, 100, 100])], [(1, [0, 20, 100, 120])])
    assert its.mask_areas.tolist() == its.truth_areas.tolist() == [10000]
    assert its.box_areas.tolist() == [10000]
    assert its.mask_ious.tolist() == its.box_ious.tolist() == [8000 / 12000]


def test_a_box_keeps_its_fractions_and_a_mask_has_whole_pixels():
    its = overlaps([(1, [0.75, 0, 10.25, 10])], [(1, [1, 0, 10, 10])])
    assert its.box_areas.tolist() == [95]
    assert its.mask_areas.tolist() == [90]  # the centres from 1.5 to 9.5
    assert its.mask_ious.tolist() == [1.0]
    assert its.box_ious.tolist() == [90 / 95]


def test_pairs_are_of_one_category():
    box = [10, 10, 60, 60]
    its = overlaps([(1, box), (2, box), (3, box)], [(2, box), (4, box), (1, box), (2, box)])
    assert list(zip(its.pair_detections.tolist(), its.pair_truths.tolist(), strict=True)) == [
        (0, 2),
        (1, 0),
        (1, 3),
    ]
    assert its.mask_ious.tolist() == [1.0, 1.0, 1.0]


def test_a_pair_that_cannot_match_counts_as_zero():
    # 40 of 100 columns in common, and apart
    its = overlaps([(1, [0, 0, 100, 100]), (1, [300, 300, 400, 400])], [(1, [0, 60, 100, 160])])
    assert its.mask_ious.tolist() == [0, 0]
    assert its.box_ious.tolist() == [4000 / 16000, 0]


def test_a_mask_without_pixels():
    its = overlaps([(1, [0, 0, 100, 100])], [(1, [0, 0, 100, 100])], probability=0)
    assert (its.mask_areas.tolist(), its.mask_ious.tolist()) == ([0], [0.0])
    its = overlaps([(1, [10, 10, 10, 50])], [(1, [0, 0, 100, 100])])
    assert (its.mask_areas.tolist(), its.mask_ious.tolist(), its.box_ious.tolist()) == ([0], [0.0], [0.0])


def test_nothing_found_or_nothing_there():
    box = (1, [0, 0, 9, 9])
    for found, truths in (([], []), ([box], []), ([], [box])):
        its = overlaps(found, truths)
        assert (len(its.mask_areas), len(its.truth_areas), len(its.mask_ious)) == (len(found), len(truths), 0)


def test_photos_of_every_kind_against_whole_arrays(photos):
    compared = 0
    for (detections, truths), its in zip(photos, overlaps_of_photos(photos), strict=True):
        taps = find_taps(detections.boxes_norm, (512, 512), 28)
        masks = [
            runs_to_mask(to_runs(paste_bits(probs, taps, row, (0.5,))[0]), (512, 512))
            for row, probs in enumerate(detections.mask_probs)
        ]
        present = [runs_to_mask(parse_rle(text, 512, 512), (512, 512)) for text in truths.rles]
        assert its.mask_areas.tolist() == [mask.sum() for mask in masks]
        for row, truth, iou in zip(its.pair_detections, its.pair_truths, its.mask_ious, strict=True):
            expected = (masks[row] & present[truth]).sum() / (masks[row] | present[truth]).sum()
            if expected >= 0.5:
                assert iou == expected
                compared += 1
            else:
                assert iou in (0, pytest.approx(expected))
    assert compared > 10
