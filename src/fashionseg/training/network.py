"""A network with its losses as Keras's `fit` expects it: batch in, weighted sum of losses out, each a metric."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from fashionseg.errors import UserError
from fashionseg.model.api import LossTerm, Network
from fashionseg.ops.boxes import Tensor
from fashionseg.ops.replicas import global_mean, num_replicas
from fashionseg.training.average import AverageStatistics, averages_in_place
from fashionseg.training.optimizer import l2_loss


class TermMean(keras.metrics.Metric):
    """Mean of a loss since the last reset: the sum of the totals over the sum of the counts, on all devices.

    A mean of the batches' means would depend on the batch size and on padding.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.total = self.add_variable((), "zeros", name="total")
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, term: LossTerm) -> None:
        self.total.assign_add(term.total)
        self.count.assign_add(term.count)

    def result(self) -> Tensor:
        return LossTerm(self.total, self.count).value


class TrainingNetwork(keras.Model):
    """The network with its training losses.

    Metrics are the mean of each loss and `loss`, their weighted sum without the weight decay.

    Args:
        network: trained in place.
        loss_weights: factor of a loss in the sum, by name; 1 where a loss is not named.
        l2_decay: Matterport's weight decay, a loss term (see `optimizer.l2_loss`); 0 for none.
        ema_decay: of the average of the weights, the same as the optimizer's; 0 for none.

    Raises:
        UserError: a weight names no loss of the network.
    """

    def __init__(
        self, network: Network, loss_weights: dict[str, float], l2_decay: float, ema_decay: float = 0.0
    ) -> None:
        # float32: a mixed policy would round the ground-truth boxes to bfloat16, whole pixels from 256 on.
        super().__init__(name="training", dtype="float32")
        self.network = network
        if unknown := set(loss_weights) - set(network.loss_names):
            raise UserError(
                f"train.loss_weights: expected the losses of {network.name} ({', '.join(network.loss_names)}), "
                f"got {', '.join(sorted(unknown))}"
            )
        self.loss_weights = {
            name: loss_weights.get(name, 1.0) * network.loss_factors.get(name, 1.0)
            for name in network.loss_names
        }
        self.l2_decay = l2_decay
        self.term_means = [TermMean(name) for name in network.loss_names]
        self.statistics = AverageStatistics(network.non_trainable_weights, ema_decay) if ema_decay else None
        self.built = True

    def call(self, batch: dict[str, Tensor], training: bool = False) -> dict[str, LossTerm]:
        """A batch (see `Network.loss_terms`) -> the losses over this device's photos, unweighted."""
        terms = self.network.loss_terms(batch, training)
        if training and self.statistics is not None:
            self.statistics.update(self.network.non_trainable_weights)
        return terms

    def averaged(self) -> AbstractContextManager[None]:
        """Context in which the network has its averaged weights, if they are averaged."""
        if self.statistics is None:
            return nullcontext()
        return averages_in_place(
            [*self.network.trainable_weights, *self.network.non_trainable_weights],
            [*self.optimizer.averages, *self.statistics.averages],
        )

    # Not `add_loss`: the devices of a MirroredStrategy share its list, and each would add those of the ones before it.
    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: dict[str, LossTerm] | None = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The weighted sum, and in training the weight decay; on several devices the share of this one."""
        assert y_pred is not None
        total = sum(weight * global_mean(*y_pred[name]) for name, weight in self.loss_weights.items())
        if training and self.l2_decay:
            total += l2_loss(self.network.trainable_variables, self.l2_decay)
        return total / num_replicas()

    def compute_metrics(self, x: Any, y: Any, y_pred: dict[str, LossTerm], sample_weight: Any = None) -> dict:
        for mean in self.term_means:
            mean.update_state(y_pred[mean.name])
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Tensor]:
        means = {mean.name: mean.result() for mean in self.term_means}
        return {"loss": sum(self.loss_weights[name] * value for name, value in means.items()), **means}

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: all is built. Keras's own takes batches away from the training when there are several devices."""


def set_compute_type(mixed_precision: bool) -> None:
    """bfloat16 computation with float32 weights, or float32 throughout; before the network is built."""
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed_precision else "float32")
