"""The optimizer and its learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from fashionseg.ops.boxes import Tensor
from fashionseg.ops.replicas import equal_shares, num_replicas
from fashionseg.params import Train
from fashionseg.training.average import AverageWeights


class ClipSummedGradients(keras.optimizers.Optimizer):
    """Mixin for Keras's optimizers: on several devices clips the gradient of the batch, not that of each device.

    Keras clips before it sums. With equal shares of the sum, and a limit divided alike, clipping each share clips the
    sum.
    """

    def apply(self, grads: list[Tensor], trainable_variables: list | None = None) -> Any:
        return super().apply(equal_shares(grads), trainable_variables)


class BackboneRate(keras.optimizers.Optimizer):
    """Mixin for Keras's optimizers: another learning rate, and decoupled weight decay, for the backbone.

    Args:
        backbone: its weights.
        backbone_rate: factor of the learning rate for them.
    """

    def __init__(
        self, *args: Any, backbone: Sequence[keras.Variable] = (), backbone_rate: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.backbone_rate = backbone_rate
        # With the factor 1 nothing is multiplied: the same operations as without a backbone.
        self._slowed = {self._var_key(variable) for variable in backbone if backbone_rate != 1.0}

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Tensor) -> None:
        if self._var_key(variable) in self._slowed:
            learning_rate = learning_rate * self.backbone_rate
            if self.weight_decay is not None and self._use_weight_decay(variable):
                self.assign_sub(variable, variable * self.weight_decay * learning_rate)
        super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables: list[keras.Variable]) -> None:
        super()._apply_weight_decay([v for v in variables if self._var_key(v) not in self._slowed])


class SGD(AverageWeights, BackboneRate, ClipSummedGradients, keras.optimizers.SGD):
    pass


class AdamW(AverageWeights, BackboneRate, ClipSummedGradients, keras.optimizers.AdamW):
    pass


def make_optimizer(
    train: Train, learning_rate: float, total_steps: int, backbone: Sequence[keras.Variable] = ()
) -> keras.optimizers.Optimizer:
    """SGD with momentum or AdamW, gradients clipped at their global norm.

    With `sgd` the weight decay is a loss term as in Matterport's code (`uses_l2_loss`), with `adamw` it is
    decoupled (Loshchilov & Hutter 2019) and excludes biases and batch norm.

    Args:
        train: the `train` section of params.yaml.
        learning_rate: after warm-up.
        total_steps: steps of the stage, warm-up included.
        backbone: the weights whose learning rate has the factor `train.backbone_rate`.
    """
    rate = learning_rate_schedule(train, learning_rate, total_steps)
    clip_norm = train.gradient_clip_norm / num_replicas()
    shared: dict[str, Any] = {
        "global_clipnorm": clip_norm,
        "backbone": backbone,
        "backbone_rate": train.backbone_rate,
        "ema_decay": train.ema_decay,
    }
    if train.optimizer == "sgd":
        return SGD(rate, momentum=train.momentum, **shared)
    optimizer = AdamW(rate, weight_decay=train.weight_decay, **shared)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def l2_loss(variables: list, weight_decay: float) -> Tensor:
    """Matterport's weight decay: `weight_decay * mean(w^2)` of each array, gamma and beta excluded.

    The mean, where a sum is usual, makes it tiny: 1e-5 to 1e-4 in total.
    """
    decayed = [v for v in variables if v.name not in ("gamma", "beta")]
    return weight_decay * sum(ops.mean(ops.square(ops.cast(v, "float32"))) for v in decayed)


def uses_l2_loss(train: Train) -> bool:
    """Whether the weight decay is a loss term."""
    return train.optimizer == "sgd" and train.weight_decay > 0.0


class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from a hundredth, then a half cosine down to `final_share` (Loshchilov & Hutter 2017).

    Keras's `CosineDecay` without its `cond`, of which JAX compiles and keeps another one whenever the rate is read
    outside of a compiled step.

    Args:
        peak: learning rate after the warm-up.
        warmup_steps: 0 starts at the peak.
        decay_steps: from the peak to the final rate, which then stays.
        final_share: final rate as a share of the peak; 1 keeps the rate constant.
    """

    def __init__(self, peak: float, warmup_steps: int, decay_steps: int, final_share: float) -> None:
        super().__init__()
        self.peak, self.warmup_steps = peak, warmup_steps
        self.decay_steps, self.final_share = decay_steps, final_share

    def __call__(self, step: Tensor) -> Tensor:
        step = ops.cast(step, "float32")
        first = self.peak / 100
        warming = first + (self.peak - first) * step / max(self.warmup_steps, 1)
        done = ops.clip((step - self.warmup_steps) / self.decay_steps, 0.0, 1.0)
        cosine = 0.5 * (1.0 + ops.cos(math.pi * done))
        decaying = self.peak * (self.final_share + (1.0 - self.final_share) * cosine)
        return ops.where(step < self.warmup_steps, warming, decaying)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "decay_steps": self.decay_steps,
            "final_share": self.final_share,
        }


def learning_rate_schedule(train: Train, learning_rate: float, total_steps: int) -> WarmupCosine:
    """Warm-up, then constant or a cosine down to zero.

    Args:
        train: the `train` section of params.yaml.
        learning_rate: after warm-up.
        total_steps: of the stage; the warm-up takes at most half of them.
    """
    warmup_steps = min(train.warmup_steps, total_steps // 2)
    return WarmupCosine(
        learning_rate,
        warmup_steps,
        decay_steps=max(total_steps - warmup_steps, 1),
        final_share={"constant": 1.0, "cosine": 0.0}[train.schedule],
    )
