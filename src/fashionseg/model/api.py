"""The contract between a network and everything around it: stages, training loop, inference, tracking, report.

A network is a batch in, named losses or named detections out. Code outside `fashionseg.model` knows no architecture, no
layer and no loss by name. An architecture subclasses `Network` and enters `networks.ARCHITECTURES`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import keras
from keras import ops

from fashionseg.errors import UserError
from fashionseg.ops.boxes import Tensor

Phase = Literal["heads", "all"]

# Keys of a training batch, see `Network.loss_terms`; the loader and the loop provide them.
BATCH_KEYS = ("images", "gt_classes", "gt_boxes", "gt_masks", "sampling_seeds", "is_photo")
# Further keys of a batch, in training and at inference, of a network that takes poses.
POSE_KEYS = ("landmarks", "person_masks")


class LossTerm(NamedTuple):
    """One loss over a batch as a sum and what it is averaged over, float32 scalars.

    Kept apart, so that the loss of a data set depends neither on the batch size nor
    on how a batch is shared between devices.
    """

    total: Tensor
    count: Tensor

    @property
    def value(self) -> Tensor:
        """The mean; 0 where nothing is counted."""
        return self.total / ops.maximum(self.count, 1.0)


class Network(keras.Model):
    """A trainable detector.

    B photos, S the side of the square input, G padded ground-truth instances, D padded detections, M the mask side.
    Classes are category + 1; 0 is padding. Boxes are `[y1, x1, y2, x2]` in pixels of the input, half-open.

    Attributes:
        image_size: S in pixels.
        loss_names: keys of `loss_terms`, in the order in which they are shown.
        takes_pose: whether batches have `landmarks` float32 [B, 33, 3], y and x in pixels of the input and visibility,
            and `person_masks` uint8 [B, 64, 64], 255 times the probability of each cell of the input.
        loss_factors: of the architecture's own making, by loss name; `train.loss_weights` are multiplied with them.
    """

    image_size: int
    loss_names: tuple[str, ...]
    takes_pose: bool = False
    loss_factors: Mapping[str, float] = MappingProxyType({})

    @abstractmethod
    def loss_terms(self, batch: dict[str, Tensor], training: bool) -> dict[str, LossTerm]:
        """The losses on a batch.

        Args:
            batch: `images` uint8 [B, S, S, 3] RGB, `gt_classes` int32 [B, G] (0 = padding), `gt_boxes` [B, G, 4],
                `gt_masks` 0/1 [B, G, m, m] in their boxes, `sampling_seeds` uint32 [B] (all randomness of a photo comes
                from its seed), `is_photo` bool [B] (False: padding of the batch, which counts in no loss).
            training: whether batch norm and the like behave as in training.
        """

    @abstractmethod
    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Detections on `images` uint8 [B, S, S, 3] with `windows` float32 [B, 4], where the photo lies in the input.

        Returns:
            `boxes` float32 [B, D, 4], `classes` int32 [B, D], `scores` float32 [B, D] falling, and `masks` float32
            [B, D, M, M], probabilities spanning the box. Padding rows are zeros.
        """

    @abstractmethod
    def set_phase(self, phase: Phase, frozen_stages: int = 0) -> None:
        """Chooses the weights that training changes: `heads` keeps the pretrained part frozen, `all` its first stages.

        Args:
            frozen_stages: of the pretrained part, from the input on; 0 for none.
        """

    @property
    def backbone_variables(self) -> list[keras.Variable]:
        """Weights whose learning rate has the factor `train.backbone_rate`; none unless a network names them."""
        return []

    def load_pretrained(self, path: Path) -> str:
        """Takes what fits of a pretrained weight file; returns one line on what was loaded and what was not.

        Raises:
            UserError: the file does not fit this architecture.
        """
        raise UserError(
            f"model.pretrained: {self.name} takes no pretrained weights, got {path}; set it to none"
        )
