"""`layer_*`: anchors, proposals, RoIAlign, detections and targets, each on stored inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from fashionseg.model.proposals import Proposals
from fashionseg.model.roi_targets import RoiSampler, RoiTargets
from fashionseg.model.rpn_targets import rpn_targets
from fashionseg.model.select_detections import SelectDetections
from fashionseg.ops.anchors import normalise_anchors, pyramid_anchors
from fashionseg.ops.boxes import Tensor, normalise
from fashionseg.ops.roi_align import multilevel_roi_align, pyramid_levels
from fashionseg.ops.sampling import first_in_order
from tools.parity.backend import compiled, double_precision
from tools.parity.reference import Arrays, Reference, unpack
from tools.parity.table import FLOAT_TOLERANCE, Row, as_array, close, close_to_scale, same

# Matterport's defaults, which the layer files were made with.
STD_DEV = (0.1, 0.1, 0.2, 0.2)
ANCHOR_RATIOS = (0.5, 1.0, 2.0)
MASK_SIZE = 28


def compare_anchors_and_proposals(reference: Reference, name: str) -> Iterator[Row]:
    """`layer_anchors_proposals`."""
    arrays = reference.arrays(name)
    for case in _cases(arrays, r"(anchors_.+)_px"):
        height, width = arrays[f"{case}_image_shape"][:2].tolist()
        stride = int(arrays.get(f"{case}_stride", 1))
        anchors = pyramid_anchors((height, width), arrays[f"{case}_scales"].tolist(), ANCHOR_RATIOS, stride)
        yield same(f"{case}_px", anchors, arrays[f"{case}_px"])
        norm = normalise_anchors(anchors, (height, width))
        yield close_to_scale(f"{case}_norm", norm, arrays[f"{case}_norm"], FLOAT_TOLERANCE)
    for case in _cases(arrays, r"(proposal_.+)_out"):
        layer = Proposals(
            STD_DEV, int(arrays[f"{case}_pre_nms_limit"]), float(arrays[f"{case}_nms_threshold"])
        )
        inputs = (
            arrays[f"{case}_rpn_probs"][..., 1],
            arrays[f"{case}_rpn_bbox"],
            arrays[f"{case}_anchors_norm"],
        )
        proposals = compiled(layer.__call__, count=int(arrays[f"{case}_proposal_count"]))(*inputs)
        yield close(f"{case}_out", proposals, arrays[f"{case}_out"], FLOAT_TOLERANCE)


def compare_roi_align(reference: Reference, name: str) -> Iterator[Row]:
    """`layer_roialign`."""
    arrays = reference.arrays(name)
    for case in _cases(arrays, r"(roialign_.+)_boxes"):
        height, width = arrays[f"{case}_image_shape"][:2].tolist()
        boxes = arrays[f"{case}_boxes"]
        features = [arrays[f"{case}_P{level}"] for level in (2, 3, 4, 5)]
        yield same(
            f"{case}_level_derived", pyramid_levels(boxes, (height, width)), arrays[f"{case}_level_derived"]
        )
        for size in (7, 14):
            pooled = multilevel_roi_align(features, boxes, (height, width), size)
            yield close_to_scale(f"{case}_out{size}", pooled, arrays[f"{case}_out{size}"], FLOAT_TOLERANCE)


def compare_detections(reference: Reference, name: str) -> Iterator[Row]:
    """`layer_detection`."""
    arrays = reference.arrays(name)
    for case in _cases(arrays, r"(detection_.+)_out"):
        layer = SelectDetections(
            STD_DEV,
            float(arrays[f"{case}_min_confidence"]),
            float(arrays[f"{case}_nms_threshold"]),
            int(arrays[f"{case}_max_instances"]),
        )
        meta = arrays[f"{case}_image_meta"]
        height, width = (int(side) for side in meta[0, 4:6])
        windows_norm = normalise(meta[:, 7:11], height, width)
        inputs = (arrays[f"{case}_{key}"] for key in ("rois", "probs", "deltas"))
        ours, expected = (
            detection_array(*compiled(layer.__call__)(*inputs, windows_norm)),
            arrays[f"{case}_out"],
        )
        yield from detection_rows(f"{case}_out", ours, expected, FLOAT_TOLERANCE)


def detection_array(boxes: Tensor, classes: Tensor, scores: Tensor) -> np.ndarray:
    """Detections as Matterport stores them, [..., 6]: box, class, score."""
    boxes, classes, scores = as_array(boxes), as_array(classes), as_array(scores)
    return np.concatenate([boxes, classes[..., None], scores[..., None]], axis=-1)


def detection_rows(name: str, ours: np.ndarray, expected: np.ndarray, tolerance: float) -> Iterator[Row]:
    """Boxes and scores [..., 6] by `tolerance`, classes exactly."""
    yield close(f"{name} boxes", ours[..., :4], expected[..., :4], tolerance)
    yield same(f"{name} classes", ours[..., 4], expected[..., 4])
    yield close(f"{name} scores", ours[..., 5], expected[..., 5], tolerance)


def compare_targets(reference: Reference, name: str) -> Iterator[Row]:
    """`layer_targets`."""
    arrays = reference.arrays(name)
    for case in _cases(arrays, r"(targets_.+)_out_rois"):
        yield from _detection_targets(arrays, case)
    for case in _cases(arrays, r"(rpntargets_.+)_rpn_match"):
        yield from _rpn_targets(arrays, case)


def matterport_sampler(rois_per_image: int, positive_fraction: float) -> RoiSampler:
    """RoIs sampled by Matterport's rules: no ground truth among the proposals, two negatives a positive at most."""
    return RoiSampler(
        rois_per_image=rois_per_image,
        positive_fraction=positive_fraction,
        box_std=STD_DEV,
        mask_size=MASK_SIZE,
        includes_gt=False,
        fills_negatives=False,
        mask_edge_slack=0.0,
    )


def all_masks(targets: RoiTargets) -> np.ndarray:
    """The mask targets of all RoIs: ours stand beside the first ones only, the rest has none."""
    masks = as_array(targets.masks)
    missing = targets.rois_norm.shape[1] - masks.shape[1]
    return np.pad(masks, [(0, 0), (0, missing), (0, 0), (0, 0)])


def _detection_targets(arrays: Arrays, case: str) -> Iterator[Row]:
    sampler = matterport_sampler(
        int(arrays[f"{case}_train_rois_per_image"]), float(arrays[f"{case}_roi_positive_ratio"])
    )
    # Ours samples R rows at most of at least R candidates.
    proposals = _at_least(arrays[f"{case}_proposals"], sampler.rois_per_image)
    classes, boxes = arrays[f"{case}_gt_class_ids"], arrays[f"{case}_gt_boxes_norm"]
    whole_image = np.broadcast_to(np.array([0, 0, 1, 1], np.float32), boxes.shape)
    targets = sampler(
        proposals[None],
        classes[None],
        boxes[None],
        unpack(arrays, f"{case}_gt_masks")[None].astype(np.float32),
        first_in_order(1, len(proposals)),
        None if arrays[f"{case}_use_mini_mask"] else whole_image[None],
    )
    yield close(f"{case}_out_rois", targets.rois_norm[0], arrays[f"{case}_out_rois"], 0.0)
    yield same(f"{case}_out_class_ids", targets.classes[0], arrays[f"{case}_out_class_ids"])
    yield close_to_scale(
        f"{case}_out_deltas", targets.deltas[0], arrays[f"{case}_out_deltas"], FLOAT_TOLERANCE
    )
    yield same(f"{case}_out_masks", all_masks(targets)[0], unpack(arrays, f"{case}_out_masks"))


def _rpn_targets(arrays: Arrays, case: str) -> Iterator[Row]:
    anchors = arrays[f"{case}_anchors_px"]
    with double_precision():
        match, deltas = rpn_targets(
            anchors,
            arrays[f"{case}_gt_class_ids"][None],
            arrays[f"{case}_gt_boxes"][None],
            first_in_order(1, len(anchors)),
            anchors_per_image=2 * len(anchors),
            box_std=STD_DEV,
        )
        match, deltas = as_array(match)[0], as_array(deltas)[0]
    yield same(f"{case}_rpn_match", match, arrays[f"{case}_rpn_match"])
    expected = arrays[f"{case}_rpn_bbox"]
    used = deltas[match == 1][: len(expected)]
    yield close_to_scale(f"{case}_rpn_bbox", used, expected, FLOAT_TOLERANCE)


def _at_least(rows: np.ndarray, num: int) -> np.ndarray:
    """`rows` [n, 4] padded with zeros to `num` rows."""
    return np.pad(rows, [(0, max(num - len(rows), 0)), (0, 0)])


def _cases(arrays: Arrays, pattern: str) -> list[str]:
    return [match[1] for key in arrays if (match := re.fullmatch(pattern, key))]
