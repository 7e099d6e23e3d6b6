"""Cascade Mask R-CNN (Cai & Vasconcelos 2018): box heads in a row, each trained on the boxes of the one before.

proposals -> box head, IoU 0.5 -> boxes -> box head 2, IoU 0.6 -> boxes -> box head 3, IoU 0.7 -> detections
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from fashionseg.model import losses
from fashionseg.model.api import LossTerm
from fashionseg.model.box_head import BoxHead
from fashionseg.model.mask_rcnn import ROI_NOISE, MaskRCNN
from fashionseg.model.proposals import WHOLE_IMAGE_NORM
from fashionseg.model.roi_targets import RoiSampler, RoiTargets
from fashionseg.ops.boxes import Tensor, apply_deltas, clip_boxes, is_real
from fashionseg.storage.backbone_weights import has_backbone_weights


class CascadeMaskRCNN(MaskRCNN):
    """Mask R-CNN with further box heads; all of them refine one box whatever the class (section 3.1).

    A detector trained at IoU 0.5 leaves loose boxes, one trained at 0.7 alone has too few positives. The boxes get
    better from head to head, so each finds enough positives at its own IoU. The mask head is trained on the RoIs of
    the first head and runs on the final boxes.

    Args:
        first_box_std: divisor of the first head's deltas.
        further_heads: box heads after the first, in order.
        further_samplers: the RoIs and targets of each of them, with its IoU and the divisor of its deltas; None for
            inference alone.
        further_box_stds: divisors of their deltas.
        further_loss_factors: of the losses of each of them.
        parts: see `MaskRCNN`.
    """

    def __init__(
        self,
        *,
        first_box_std: tuple[float, ...],
        further_heads: Sequence[BoxHead],
        further_samplers: Sequence[RoiSampler] | None,
        further_box_stds: Sequence[tuple[float, ...]],
        further_loss_factors: Sequence[float],
        **parts: Any,
    ) -> None:
        super().__init__(**parts)
        self.further_heads = list(further_heads)
        self._samplers = further_samplers
        self._box_stds = [np.array(std, np.float32) for std in (first_box_std, *further_box_stds)]
        names = [(f"class_{number}_loss", f"box_{number}_loss") for number in self._numbers()]
        mask_names = self.loss_names[self.loss_names.index("mask_loss") :]
        self.loss_names = (
            *self.loss_names[: -len(mask_names)],
            *(name for pair in names for name in pair),
            *mask_names,
        )
        self.loss_factors = {
            name: factor for pair, factor in zip(names, further_loss_factors, strict=False) for name in pair
        }

    def _numbers(self) -> range:
        """The numbers of the further heads, as in the names of their losses."""
        return range(2, 2 + len(self.further_heads))

    def box_terms(
        self, pyramid: list[Tensor], targets: RoiTargets, batch: dict[str, Tensor], training: bool
    ) -> dict[str, LossTerm]:
        """The losses of all box heads: each samples the boxes of the one before anew."""
        assert self._samplers is not None, "built without `sampling`"
        terms = {}
        heads = (self.box_head, *self.further_heads)
        for place, head in enumerate(heads):
            number = "" if place == 0 else f"{place + 1}_"
            is_counted = ops.logical_and(targets.is_real, batch["is_photo"][:, None])
            logits, deltas = self.classify(
                pyramid, targets.rois_norm, training, is_counted, head, batch.get("landmarks")
            )
            terms[f"class_{number}loss"] = losses.class_loss(
                targets.classes, logits, is_counted, self.class_targets
            )
            terms[f"box_{number}loss"] = losses.box_loss(targets.classes, targets.deltas, deltas)
            if place + 1 < len(heads):
                refined = self.refine(targets.rois_norm, deltas, place, WHOLE_IMAGE_NORM)
                targets = self.sample_rois(self._samplers[place], refined, batch, ROI_NOISE + place + 1)
        return terms

    def score(
        self,
        pyramid: list[Tensor],
        proposals_norm: Tensor,
        windows_norm: Tensor,
        training: bool = False,
        landmarks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The RoIs of the last head with its deltas, and the mean of the class scores of all heads."""
        rois, all_scores = proposals_norm, []
        heads = (self.box_head, *self.further_heads)
        for place, head in enumerate(heads):
            logits, deltas = self.classify(pyramid, rois, training, head=head, landmarks=landmarks)
            all_scores.append(ops.softmax(logits))
            if place + 1 < len(heads):
                rois = self.refine(rois, deltas, place, windows_norm[:, None])
        return rois, sum(all_scores) / len(heads), deltas

    def refine(self, rois_norm: Tensor, deltas: Tensor, place: int, windows_norm: Any) -> Tensor:
        """RoIs [B, R, 4] moved by the deltas [B, R, 1, 4] of head number `place`, without gradient; padding stays zero.

        Args:
            windows_norm: broadcastable to [B, R, 4]; the boxes are cut at it.
        """
        boxes = apply_deltas(rois_norm, ops.stop_gradient(deltas)[:, :, 0] * self._box_stds[place])
        boxes = ops.where(is_real(rois_norm)[..., None], clip_boxes(boxes, windows_norm), 0.0)
        return ops.stop_gradient(boxes)

    def load_pretrained(self, path: Path) -> str:
        """As `MaskRCNN.load_pretrained`; further heads begin as copies of the first where a file has box heads."""
        report = super().load_pretrained(path)
        if has_backbone_weights(path):
            return report
        for head in self.further_heads:
            head.set_weights(self.box_head.get_weights())
        names = " and ".join(map(str, self._numbers()))
        return f"{report}; box heads {names} are copies of the first"
