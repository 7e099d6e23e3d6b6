"""`utils`: box algebra, resizing, mini-masks, pasting."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from fashionseg.data.rle import mask_to_runs, runs_box
from fashionseg.ops import boxes as box_ops
from fashionseg.ops.nms import non_max_suppression
from tools.parity import images
from tools.parity.reference import Arrays, Reference, unpack
from tools.parity.table import FLOAT_TOLERANCE, Row, as_array, close_to_scale, same


def compare(reference: Reference, name: str) -> Iterator[Row]:
    """All rows of the file."""
    arrays = reference.arrays(name)
    yield from _boxes(arrays)
    yield from _masks(arrays)
    for case in _cases(arrays, r"r_(.+)_image"):
        yield from _resized(arrays, f"r_{case}")
    yield from _meta_and_mean(arrays)
    for case in _cases(arrays, r"g_(.+)_image"):
        yield from _training_example(arrays, case)


def _cases(arrays: Arrays, pattern: str) -> list[str]:
    return [match[1] for key in arrays if (match := re.fullmatch(pattern, key))]


def _boxes(arrays: Arrays) -> Iterator[Row]:
    boxes, deltas, gt_boxes = (
        arrays[key].astype(np.float32) for key in ("u_boxes1", "u_deltas", "u_gt_boxes")
    )
    others = arrays["u_boxes2"].astype(np.float32)
    height, width = arrays["u_norm_shape"].tolist()
    iou = box_ops.iou_matrix(boxes, others)
    int_iou = box_ops.iou_matrix(
        arrays["u_int_boxes1"].astype(np.float32), arrays["u_int_boxes2"].astype(np.float32)
    )
    encoded = box_ops.encode_deltas(boxes, gt_boxes)
    moved = box_ops.apply_deltas(boxes, deltas)
    int_boxes_norm = box_ops.normalise(arrays["u_int_boxes1"], height, width)
    graph_shape = _frame_of(boxes, arrays["u_norm_boxes_graph"])
    boxes_norm = box_ops.normalise(boxes, *graph_shape)
    clipped = box_ops.clip_boxes(arrays["u_clip_in"], arrays["u_clip_window"])
    floats = {
        "u_overlaps": iou,
        "u_overlaps_graph": iou,
        "u_int_overlaps": int_iou,
        "u_box_refinement": encoded,
        "u_box_refinement_graph": encoded,
        "u_apply_box_deltas": moved,
        "u_apply_box_deltas_graph": moved,
        "u_norm_boxes": int_boxes_norm,
        "u_norm_boxes_graph": boxes_norm,
        "u_clip_boxes_graph": clipped,
    }
    for key, ours in floats.items():
        yield close_to_scale(key, ours, arrays[key], FLOAT_TOLERANCE)
    for key, shape in (("boxes", (height, width)), ("boxes_graph", graph_shape)):
        pixels = as_array(box_ops.denormalise(arrays[f"u_norm_{key}"], *shape))
        yield same(f"u_denorm_{key}", np.around(pixels), arrays[f"u_denorm_{key}"])
    for key in (key for key in arrays if key.startswith("u_nms_keep_")):
        yield _suppressed(arrays, boxes, key)


def _frame_of(boxes: np.ndarray, boxes_norm: np.ndarray) -> tuple[int, int]:
    """(height, width) that Matterport's graph normalised with; the file does not say it, the top left corners do."""
    height, width = np.median(boxes[:, :2] / boxes_norm[:, :2], axis=0)
    return round(height) + 1, round(width) + 1


def _suppressed(arrays: Arrays, boxes: np.ndarray, key: str) -> Row:
    scores = arrays["u_nms_scores"]
    order = np.argsort(-scores, kind="stable")
    indices, valid = non_max_suppression(
        boxes[order][None],
        scores[order][None].astype(np.float32),
        float(key.removeprefix("u_nms_keep_")),
        len(boxes),
    )
    return same(key, order[as_array(indices)[as_array(valid)]], arrays[key])


def _masks(arrays: Arrays) -> Iterator[Row]:
    masks = np.moveaxis(unpack(arrays, "m_masks"), 0, -1)
    height, width = masks.shape[:2]
    boxes = np.array([runs_box(mask_to_runs(mask), height) for mask in np.moveaxis(masks, -1, 0)])
    yield same("m_extract_bboxes", boxes, arrays["m_extract_bboxes"])

    mini = unpack(arrays, "m_minimize_mask")
    ours = images.minimize_masks(boxes, masks, mini.shape[1:])
    yield same("m_minimize_mask", np.moveaxis(ours, -1, 0), mini)
    expanded = np.moveaxis(images.expand_masks(boxes, ours, (height, width)), -1, 0)
    yield same("m_expand_mask", expanded.reshape(len(boxes), -1), _bits(arrays, "m_expand_mask", masks))
    oblong = np.moveaxis(images.minimize_masks(boxes, masks, (28, 40)), -1, 0)
    key = "m_minimize_mask_28x40_packed"
    yield same(key, np.packbits(oblong.reshape(len(boxes), -1), axis=1), arrays[key])

    iou = images.mask_iou(np.moveaxis(masks, -1, 0), expanded)
    yield close_to_scale("m_overlaps_masks", iou, arrays["m_overlaps_masks"], FLOAT_TOLERANCE)

    shape = tuple(arrays["m_unmold_image_shape"].tolist())
    pasted = [
        images.paste_mask(scores, tuple(box), shape)
        for scores, box in zip(arrays["m_unmold_in"], arrays["m_unmold_boxes"].tolist(), strict=True)
    ]
    packed = np.packbits(np.stack(pasted).reshape(len(pasted), -1), axis=1)
    yield same("m_unmold_packed", packed, arrays["m_unmold_packed"])


def _bits(arrays: Arrays, name: str, masks: np.ndarray) -> np.ndarray:
    pixels = masks.shape[0] * masks.shape[1]
    return np.unpackbits(arrays[f"{name}_packed"], axis=1)[:, :pixels]


def _resized(arrays: Arrays, prefix: str) -> Iterator[Row]:
    resized = images.resize_image(
        arrays[f"{prefix}_image"],
        int(arrays[f"{prefix}_min_dim"]),
        int(arrays[f"{prefix}_max_dim"]),
        float(arrays[f"{prefix}_min_scale"]),
        str(arrays[f"{prefix}_mode"]),
    )
    yield same(f"{prefix}_out", resized.image, arrays[f"{prefix}_out"])
    yield same(f"{prefix}_window", np.array(resized.window), arrays[f"{prefix}_window"])
    yield same(f"{prefix}_scale", np.array(resized.scale), arrays[f"{prefix}_scale"])
    yield same(f"{prefix}_padding", resized.padding, arrays[f"{prefix}_padding"])
    masks = images.resize_masks(arrays[f"{prefix}_mask"], resized.scale, resized.padding)
    yield same(f"{prefix}_mask_out", masks, arrays[f"{prefix}_mask_out"])


def _meta_and_mean(arrays: Arrays) -> Iterator[Row]:
    # The values of the example stand in the README only.
    active = np.array([1, 1, 0, 1, 1])
    meta = images.image_meta(7, (150, 101, 3), (128, 128, 3), (0, 21, 128, 107), 0.853, active)
    yield same("meta_example", meta, arrays["meta_example"])
    mean_pixel = np.array([123.7, 116.8, 103.9], np.float32)
    centred = arrays["mold_example_in"].astype(np.float32) - mean_pixel
    yield close_to_scale("mold_example_out", centred, arrays["mold_example_out"], FLOAT_TOLERANCE)


def _training_example(arrays: Arrays, case: str) -> Iterator[Row]:
    """Matterport's `load_image_gt`: resize, augment (a flip at most), boxes, mini-masks."""
    side = int(arrays["g_size"])
    photo, prefix = arrays["g_image"], f"g_{case}"
    resized = images.resize_image(photo, side, side, 0, "square")
    image = resized.image
    masks = images.resize_masks(arrays["g_masks"], resized.scale, resized.padding)
    if case == "flip":
        image, masks = image[:, ::-1], masks[:, ::-1]
    kept = masks.any(axis=(0, 1))
    masks, classes = masks[..., kept], arrays["g_class_ids"][kept]
    boxes = np.array([runs_box(mask_to_runs(mask), side) for mask in np.moveaxis(masks, -1, 0)])
    stored = unpack(arrays, f"{prefix}_masks")
    if stored.shape[1:] != (side, side):
        masks = images.minimize_masks(boxes, masks, stored.shape[1:])
    num_classes = len(arrays[f"{prefix}_meta"]) - 12
    meta = images.image_meta(0, photo.shape, image.shape, resized.window, resized.scale, np.ones(num_classes))
    yield same(f"{prefix}_image", image, arrays[f"{prefix}_image"])
    yield same(f"{prefix}_meta", meta, arrays[f"{prefix}_meta"])
    yield same(f"{prefix}_class_ids", classes, arrays[f"{prefix}_class_ids"])
    yield same(f"{prefix}_boxes", boxes, arrays[f"{prefix}_boxes"])
    yield same(f"{prefix}_masks", np.moveaxis(masks, -1, 0), stored)
