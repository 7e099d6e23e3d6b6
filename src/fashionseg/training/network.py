"""A network with its losses as Keras's `fit` expects it: batch in, weighted sum of losses out, each a metric."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from fashionseg.errors import UserError
from fashionseg.model.api import Network
from fashionseg.ops.boxes import Tensor
from fashionseg.ops.replicas import global_mean, num_replicas
from fashionseg.training.optimizer import l2_loss


class TrainingNetwork(keras.Model):
    """The network with its training losses.

    Args:
        network: what is trained.
        loss_weights: factor of a loss in the sum, by name; 1 where a loss is not named.
        l2_decay: Matterport's weight decay, a loss term (see `losses.l2_loss`); 0 for none.
    """

    def __init__(self, network: Network, loss_weights: dict[str, float], l2_decay: float) -> None:
        super().__init__(name="training")
        self.network = network
        if unknown := set(loss_weights) - set(network.loss_names):
            raise UserError(
                f"train.loss_weights: expected the losses of {network.name} ({', '.join(network.loss_names)}), "
                f"got {', '.join(sorted(unknown))}"
            )
        self.loss_weights = {name: loss_weights.get(name, 1.0) for name in network.loss_names}
        self.l2_decay = l2_decay
        self.loss_means = [keras.metrics.Mean(name=name) for name in network.loss_names]
        self.built = True

    def call(self, batch: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """A batch of `fashionseg.data.loader` -> the losses, unweighted."""
        terms = self.network.loss_terms(batch, training)
        return {name: global_mean(*terms[name]) for name in self.network.loss_names}

    # Not `add_loss`: the devices of a MirroredStrategy share its list, and each would add those of the ones before it.
    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: dict[str, Tensor] | None = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The weighted sum, and in training the weight decay; on several devices the share of this one."""
        assert y_pred is not None
        total = sum(self.loss_weights[name] * value for name, value in y_pred.items())
        if training and self.l2_decay:
            total += l2_loss(self.network.trainable_variables, self.l2_decay)
        return total / num_replicas()

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing: all is built. Keras's own takes batches away from the training when there are several devices."""

    def compute_metrics(self, x: Any, y: Any, y_pred: dict[str, Tensor], sample_weight: Any = None) -> dict:
        for mean in self.loss_means:
            mean.update_state(ops.stop_gradient(y_pred[mean.name]))
        return self.get_metrics_result()


def set_compute_type(mixed_precision: bool) -> None:
    """bfloat16 computation with float32 weights, or float32 throughout; before the network is built."""
    keras.config.set_dtype_policy("mixed_bfloat16" if mixed_precision else "float32")
