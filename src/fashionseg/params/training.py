"""The section `train`: optimizer, schedule, devices, and the two training stages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fashionseg.params.types import BoolOrAuto, Count, NonNegative, NonNegativeInt, Positive, Text, component


@component
class TrainingStage:
    epochs: Count
    learning_rate: Positive


@component
class Finetune(TrainingStage):
    from_: Annotated[Text | None, Field(alias="from")]  # `from` is a keyword of Python


@component
class Train:
    deterministic: bool
    mixed_precision: BoolOrAuto
    jit_compile: BoolOrAuto
    num_devices: Count
    images_per_device: Count
    optimizer: Literal["sgd", "adamw"]
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)]
    weight_decay: NonNegative
    gradient_clip_norm: Positive
    warmup_steps: NonNegativeInt
    schedule: Literal["constant", "cosine"]
    frozen_stages: Annotated[int, Field(ge=0, le=5)]
    backbone_rate: Positive
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)]
    best_epoch: Literal["val_loss", "score"]
    loss_weights: dict[str, NonNegative]  # by the network's loss names; a loss without a weight counts 1
    heads: TrainingStage
    finetune: Finetune

    @property
    def batch_size(self) -> int:
        """Photos per step, over all devices."""
        return self.num_devices * self.images_per_device
