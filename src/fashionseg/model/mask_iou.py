"""Mask-IoU head: how well each predicted mask fits (Mask Scoring R-CNN, Huang et al. 2019), and its targets."""

from __future__ import annotations

import keras
from keras import layers, ops

from fashionseg.model.box_head import run_head
from fashionseg.model.layers import BatchNorm, relu
from fashionseg.ops.boxes import Tensor, area
from fashionseg.ops.gather import take_rows


class MaskIouHead(keras.Model):
    """Pooled features [N, pool, pool, C] and mask [N, 2 * pool, 2 * pool, 1] -> IoU of the mask for each class [N, K].

    The features are those of the mask head; the mask, in probabilities, is reduced to their size and becomes one more
    channel (section 3.2). A further input, bool [N, 1, 1], marks the real rows.

    Args:
        pool_size, in_channels: of the pooled features.
        channels: of the four convolutions, and a quarter of those of the two hidden layers.
        num_classes: K.
        batch_norm: of the convolutions.
    """

    def __init__(
        self, pool_size: int, in_channels: int, channels: int, num_classes: int, batch_norm: BatchNorm
    ) -> None:
        pooled = keras.Input((pool_size, pool_size, in_channels), name="pooled")
        mask = keras.Input((2 * pool_size, 2 * pool_size, 1), name="mask")
        is_real = keras.Input((1, 1), dtype="bool", name="is_real")
        x = layers.Concatenate(name="mask_iou_input")(
            [pooled, layers.MaxPooling2D(2, name="mask_iou_pool")(mask)]
        )
        for number in (1, 2, 3, 4):
            names = f"mask_iou_conv{number}", f"mask_iou_bn{number}"
            strides = 2 if number == 4 else 1
            x = relu(
                batch_norm.conv(x, channels, 3, *names, strides=strides, mask=is_real),
                f"mask_iou_relu{number}",
            )
        x = layers.Flatten(name="mask_iou_flat")(x)
        for number in (1, 2):
            x = layers.Dense(4 * channels, activation="relu", name=f"mask_iou_fc{number}")(x)
        iou = layers.Dense(num_classes, name="mask_iou", dtype="float32")(x)
        super().__init__([pooled, mask, is_real], iou, name="mask_iou_head")

    def quality(
        self, pooled: Tensor, mask_logits: Tensor, classes: Tensor, training: bool | None = None
    ) -> Tensor:
        """Predicted IoU of each mask, cut to [0, 1] at inference; the mask is an input without gradient.

        Args:
            pooled: [B, R, pool, pool, C].
            mask_logits: [B, R, 2 * pool, 2 * pool], of the RoI's class.
            classes: int [B, R], 0 in the padding.

        Returns:
            float32 [B, R].
        """
        masks = ops.sigmoid(ops.stop_gradient(mask_logits))[..., None]
        (iou,) = run_head(self, [pooled, masks], classes > 0, training)
        own = ops.take_along_axis(iou, classes[..., None], axis=-1)[..., 0]
        return own if training else ops.clip(own, 0.0, 1.0)


def mask_iou_targets(mask_logits: Tensor, target_masks: Tensor, instance_areas: Tensor) -> Tensor:
    """IoU of the predicted masks, binarised at 0.5, with their instances (section 3.3).

    An instance may reach out of its RoI: its area counts in full, so that a good mask in a poor box is no good mask.

    Args:
        mask_logits: [B, M, m, m].
        target_masks: 0/1 [B, M, m, m], the instance within the RoI.
        instance_areas: [B, M], of the whole instance as a fraction of the RoI's area.

    Returns:
        [B, M], without gradient; 0 where both are empty.
    """
    cells = mask_logits.shape[-2] * mask_logits.shape[-1]
    predicted = ops.cast(ops.stop_gradient(mask_logits) > 0.0, "float32")
    shared = ops.sum(predicted * target_masks, axis=(-2, -1))
    inside = ops.sum(target_masks, axis=(-2, -1))
    # The grids of mask and instance differ: no instance is smaller than its part inside the RoI.
    whole = ops.maximum(instance_areas * cells, inside)
    union = ops.sum(predicted, axis=(-2, -1)) + whole - shared
    return ops.where(union > 0.0, shared / ops.maximum(union, 1e-6), 0.0)


def mask_areas_of_rois(rois_norm: Tensor, matched: Tensor, gt_boxes_norm: Tensor, gt_masks: Tensor) -> Tensor:
    """Area of each RoI's instance as a fraction of the RoI's area.

    Args:
        rois_norm: [B, M, 4].
        matched: int32 [B, M], the instance of each RoI.
        gt_boxes_norm: [B, G, 4].
        gt_masks: 0/1 [B, G, m, m], each in its box.

    Returns:
        [B, M]; finite for RoIs without area.
    """
    filled = ops.mean(ops.cast(gt_masks, "float32"), axis=(-2, -1))
    areas = take_rows(filled * area(gt_boxes_norm), matched)
    return areas / ops.maximum(area(rois_norm), 1e-8)
