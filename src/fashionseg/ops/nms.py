"""Greedy non-maximum suppression with static shapes."""

from __future__ import annotations

import keras
from keras import ops

from fashionseg.ops.boxes import Tensor, iou_matrix

_TILE = 512  # boxes settled at once; their overlaps stay in a GPU's cache between the rounds


def non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    max_outputs: int,
) -> tuple[Tensor, Tensor]:
    """Keeps a box when no kept box of higher score overlaps it by more than `iou_threshold`.

    Args:
        boxes: [B, N, 4], any frame.
        scores: [B, N] in falling order.
        iou_threshold: overlap above it (not at it) suppresses.
        max_outputs: M, how many to keep at most.

    Returns:
        indices int32 [B, M] of the kept boxes by falling score, and valid bool [B, M]; padding has index 0.
    """
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_nms(boxes, scores, iou_threshold, max_outputs)
    keep = greedy_keep(boxes, iou_threshold)
    return first_kept(keep, max_outputs)


def greedy_keep(
    boxes: Tensor,
    iou_threshold: float,
    valid: Tensor | None = None,
    groups: Tensor | None = None,
    tile: int = _TILE,
) -> Tensor:
    """Which boxes greedy suppression keeps, for boxes already in falling order of score.

    Tile after tile, as a box depends on those before it alone: the kept boxes of the tiles before suppress first, each
    pair compared once and never stored, then those of the tile itself. N x N overlaps of 6,000 boxes would be 36 MB an
    image, read again in every round.

    Args:
        boxes: [B, N, 4].
        iou_threshold: overlap above it suppresses.
        valid: bool [B, N]; rows that are False are neither kept nor suppress others.
        groups: int [B, N]; boxes suppress only within their group (category).
        tile: boxes settled at once; changes no result.

    Returns:
        bool [B, N].
    """
    num_boxes = boxes.shape[1]
    candidates = ops.ones(ops.shape(boxes)[:2], "bool") if valid is None else valid
    kept: list[Tensor] = []
    for start in range(0, num_boxes, tile):
        before, here = slice(0, start), slice(start, min(start + tile, num_boxes))
        of_tile = candidates[:, here]
        if start:
            suppresses = _suppresses(boxes, groups, before, here, iou_threshold)
            of_tile = ops.logical_and(of_tile, _none_of(suppresses, ops.concatenate(kept, axis=1)))
        kept.append(_settle(_suppresses(boxes, groups, here, here, iou_threshold), of_tile))
    return ops.concatenate(kept, axis=1)


def _suppresses(
    boxes: Tensor, groups: Tensor | None, rivals: slice, rows: slice, iou_threshold: float
) -> Tensor:
    """bool [B, rivals, rows]: the first, if kept, suppresses the second."""
    overlaps = iou_matrix(boxes[:, rivals], boxes[:, rows]) > iou_threshold
    if groups is None:
        return overlaps
    return ops.logical_and(overlaps, groups[:, rivals, None] == groups[:, None, rows])


def _none_of(suppresses: Tensor, keep: Tensor) -> Tensor:
    """bool [B, N]: boxes that no kept rival of bool [B, M] suppresses."""
    return ops.logical_not(ops.any(ops.logical_and(suppresses, keep[:, :, None]), axis=1))


def _settle(suppresses: Tensor, candidates: Tensor) -> Tensor:
    """The greedy result among the N boxes of a tile, bool [B, N].

    A box is kept when no kept box before it suppresses it. Starting from "all kept", applying that rule until
    nothing changes gives exactly the greedy result: after n rounds the first n boxes are settled, and in
    practice a few rounds settle all of them. Unlike the loop over boxes it is parallel and of static shape.
    """
    num_boxes = candidates.shape[1]
    earlier = ops.arange(num_boxes)[:, None] < ops.arange(num_boxes)[None, :]
    suppresses = ops.logical_and(suppresses, earlier)

    def is_changing(keep: Tensor, previous: Tensor) -> Tensor:
        return ops.any(keep != previous)

    def one_round(keep: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        return ops.logical_and(candidates, _none_of(suppresses, keep)), keep

    keep, _ = ops.while_loop(is_changing, one_round, one_round(candidates, candidates))
    return keep


def first_kept(keep: Tensor, max_outputs: int) -> tuple[Tensor, Tensor]:
    """bool [B, N] -> indices int32 [B, M] of the first True entries (0 where there are fewer), valid bool [B, M]."""
    num_boxes = keep.shape[1]
    rank = ops.cast(ops.arange(num_boxes, 0, -1), "float32")
    values, indices = ops.top_k(ops.where(keep, rank, 0.0), k=min(max_outputs, num_boxes))
    valid = values > 0.0
    indices = ops.where(valid, ops.cast(indices, "int32"), 0)
    missing = max_outputs - indices.shape[1]
    if missing > 0:
        indices = ops.pad(indices, [[0, 0], [0, missing]])
        valid = ops.pad(valid, [[0, 0], [0, missing]], constant_values=False)
    return indices, valid


def _tensorflow_nms(
    boxes: Tensor, scores: Tensor, iou_threshold: float, max_outputs: int
) -> tuple[Tensor, Tensor]:
    """TensorFlow's own kernel, one image at a time: on a CPU far ahead of the N x N matrix above."""
    import tensorflow as tf

    def one_image(arguments: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        indices, count = tf.raw_ops.NonMaxSuppressionV4(
            boxes=arguments[0],
            scores=arguments[1],
            max_output_size=max_outputs,
            iou_threshold=iou_threshold,
            score_threshold=float("-inf"),
            pad_to_max_output_size=True,
        )
        return indices, tf.range(max_outputs) < count

    signature = (
        tf.TensorSpec([max_outputs], tf.int32),
        tf.TensorSpec([max_outputs], tf.bool),
    )
    return tf.map_fn(one_image, (boxes, scores), fn_output_signature=signature)
