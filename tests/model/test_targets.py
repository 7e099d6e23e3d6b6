"""Targets of the RPN and of the heads."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from fashionseg.model.roi_targets import RoiSampler, RoiTargets
from fashionseg.model.rpn_targets import rpn_targets
from fashionseg.ops.sampling import first_in_order

STD_DEV = (0.1, 0.1, 0.2, 0.2)


def arrays(targets: RoiTargets) -> RoiTargets:
    return RoiTargets(*(ops.convert_to_numpy(x) for x in targets))


# Against a box of 10 x 10: itself; IoU 0.8; 0.5 (neutral); 0.2; none.
ANCHORS = np.array(
    [[0, 0, 10, 10], [0, 0, 8, 10], [0, 0, 5, 10], [0, 0, 2, 10], [30, 30, 40, 40]], np.float64
)


def anchors_matched(classes: list[int], boxes: list, per_image: int = 10, dtype: type = np.float32):
    match, deltas = rpn_targets(
        ANCHORS.astype(dtype),
        np.array([classes]),
        np.array([boxes], np.float32),
        first_in_order(1, len(ANCHORS)),
        per_image,
        STD_DEV,
    )
    return ops.convert_to_numpy(match)[0].tolist(), ops.convert_to_numpy(deltas)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_anchors_are_labelled_by_iou(dtype):
    match, deltas = anchors_matched([1], [[0, 0, 10, 10]], dtype=dtype)
    assert match == [1, 1, 0, -1, -1]
    np.testing.assert_array_equal(deltas[0], 0)
    # From 8 x 10 to 10 x 10: the centre moves by 1 of 8, the height grows by 1.25.
    np.testing.assert_allclose(deltas[1], [1 / 8 / 0.1, 0, np.log(1.25) / 0.2, 0], rtol=1e-5)
    assert deltas.dtype == np.float32


def test_best_anchor_of_an_instance_is_positive_at_any_iou():
    # 1 x 10: its best anchor is the fourth, of IoU 0.5, below the 0.7.
    assert anchors_matched([1], [[0, 0, 1, 10]])[0] == [-1, -1, -1, 1, -1]


def test_without_instances_all_anchors_are_background():
    assert anchors_matched([0], [[0, 0, 0, 0]])[0] == [-1] * 5


def test_anchors_on_crowds_are_neutral():
    match, _ = anchors_matched([1, -1], [[0, 0, 10, 10], [30, 30, 50, 50]])
    assert match == [1, 1, 0, -1, 0]


def test_at_most_half_of_the_anchors_are_positive():
    # Two anchors per image: one positive (the first), one negative (the first).
    assert anchors_matched([1], [[0, 0, 10, 10]], per_image=2)[0] == [1, 0, 0, -1, 0]


GT_BOXES = np.array([[[0.0, 0.0, 0.4, 0.4], [0.5, 0.5, 1.0, 1.0], [0, 0, 0, 0]]], np.float32)
GT_CLASSES = np.array([[3, 7, 0]])
PROPOSALS = np.array(
    [
        [
            [0.0, 0.0, 0.4, 0.2],  # half of the first: IoU 0.5, positive
            [0.5, 0.5, 1.0, 0.9],  # 0.8 of the second
            [0.0, 0.6, 0.3, 0.9],  # background
            [0.6, 0.0, 0.9, 0.3],  # background
            [0.0, 0.0, 0.4, 0.4],  # the first
            [0.0, 0.0, 0.0, 0.0],  # padding
            [0.7, 0.0, 0.9, 0.2],  # background
        ]
    ],
    np.float32,
)


def sample(
    includes_gt: bool = False, fills_negatives: bool = False, rois: int = 6, iou: float = 0.5, **changes
) -> RoiTargets:
    sampler = RoiSampler(rois, 0.34, STD_DEV, 28, includes_gt, fills_negatives, positive_iou=iou)
    inputs = {"proposals": PROPOSALS, "classes": GT_CLASSES, "boxes": GT_BOXES} | changes
    num = sampler.num_candidates(inputs["proposals"].shape[1], GT_BOXES.shape[1])
    masks = np.ones((1, 3, 56, 56), np.float32)
    return arrays(
        sampler(inputs["proposals"], inputs["classes"], inputs["boxes"], masks, first_in_order(1, num))
    )


def test_positives_come_first_then_two_negatives_for_each():
    targets = sample()
    # At most int(6 * 0.34) = 2 positives: the first two. int(1 / 0.34 * 2) = 5 rows in all.
    assert targets.classes.tolist() == [[3, 7, 0, 0, 0, 0]]
    assert targets.is_real.tolist() == [[True, True, True, True, True, False]]
    np.testing.assert_array_equal(targets.rois_norm[0, :5], PROPOSALS[0, [0, 1, 2, 3, 6]])
    np.testing.assert_array_equal(targets.rois_norm[0, 5], 0)


def test_positives_are_told_from_negatives_at_the_iou_of_the_sampler():
    targets = sample(fills_negatives=True, iou=0.6)
    # The proposals of IoU 0.8 and 1 are positive; that of 0.5 is background now, and drawn first of it.
    assert targets.classes.tolist() == [[7, 3, 0, 0, 0, 0]]
    np.testing.assert_array_equal(targets.rois_norm[0, :3], PROPOSALS[0, [1, 4, 0]])
    assert targets.matched[0, :2].tolist() == [1, 0]


def test_deltas_encode_the_matched_instance():
    deltas = sample().deltas[0]
    # Width 0.2 to 0.4: the centre moves by half a width to the right, the width doubles.
    np.testing.assert_allclose(deltas[0], [0, 0.5 / 0.1, 0, np.log(2) / 0.2], atol=1e-5)
    np.testing.assert_array_equal(deltas[2:], 0)


def test_negatives_fill_the_rois_with_fills_negatives():
    # Three positives overlap enough; two fit. Padding is never sampled.
    targets = sample(fills_negatives=True, rois=8, proposals=PROPOSALS[:, [2, 3, 6, 0, 5, 5, 5, 5]])
    assert targets.classes.tolist() == [[3, 0, 0, 0, 0, 0, 0, 0]]
    assert targets.is_real.tolist() == [[True] * 4 + [False] * 4]


def test_ground_truth_joins_the_proposals_with_includes_gt():
    backgrounds = PROPOSALS[:, [2, 3, 6, 5, 5]]
    targets = sample(includes_gt=True, fills_negatives=True, proposals=backgrounds)
    assert targets.classes.tolist() == [[3, 7, 0, 0, 0, 0]]
    np.testing.assert_array_equal(targets.rois_norm[0, :2], GT_BOXES[0, :2])
    np.testing.assert_array_equal(targets.deltas[0, :2], 0)


def test_matterport_samples_nothing_without_positives():
    targets = sample(classes=np.zeros((1, 3), np.int32), boxes=np.zeros((1, 3, 4), np.float32))
    assert not targets.is_real.any()
    assert not targets.rois_norm.any()


def test_photo_without_instances_still_gives_negatives():
    targets = sample(
        includes_gt=True,
        fills_negatives=True,
        classes=np.zeros((1, 3), np.int32),
        boxes=np.zeros((1, 3, 4), np.float32),
    )
    assert targets.is_real.all()
    assert not targets.classes.any()


def test_only_padding_gives_only_padding():
    targets = sample(
        includes_gt=True,
        fills_negatives=True,
        proposals=np.zeros_like(PROPOSALS),
        classes=np.zeros((1, 3), np.int32),
        boxes=np.zeros((1, 3, 4), np.float32),
    )
    assert not targets.is_real.any()
    assert np.isfinite(targets.deltas).all()


def test_mask_targets_are_cropped_to_the_roi():
    # The upper half of the second instance: rows 0 to 27 of its mini-mask are 1.
    masks = np.zeros((1, 3, 56, 56), np.float32)
    masks[:, 1, :28] = 1
    sampler = RoiSampler(3, 0.34, STD_DEV, 28, includes_gt=False, fills_negatives=True)
    proposals = np.array([[[0.5, 0.5, 1.0, 1.0], [0, 0, 0, 0], [0, 0, 0, 0]]], np.float32)
    targets = arrays(sampler(proposals, GT_CLASSES, GT_BOXES, masks, first_in_order(1, 3)))
    assert targets.masks.shape == (1, 1, 28, 28)
    np.testing.assert_array_equal(targets.masks[0, 0, :14], 1)
    np.testing.assert_array_equal(targets.masks[0, 0, 14:], 0)


def test_mask_targets_belong_to_the_first_positives():
    """Three positives, of classes 4, 5 and 6; two of them have a mask to learn, by falling priority 5 and 6."""
    boxes = np.array([[[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0.5, 0.5, 1]]], np.float32)
    masks = np.stack([np.zeros((28, 28)), np.ones((28, 28)), np.zeros((28, 28))])[None].astype(np.float32)
    proposals = np.zeros((1, 3, 4), np.float32)
    priorities = np.array([[0, 0, 0, 0.1, 0.9, 0.5]], np.float32)  # of the proposals, then of the instances
    sampler = RoiSampler(9, 0.34, STD_DEV, 28, includes_gt=True, fills_negatives=True, mask_rois_per_image=2)
    targets = arrays(sampler(proposals, np.array([[4, 5, 6]]), boxes, masks, priorities))
    assert targets.classes[0, :3].tolist() == [5, 6, 4]
    assert targets.masks.shape == (1, 2, 28, 28)
    assert targets.masks.mean(axis=(0, 2, 3)).tolist() == [1, 0]
