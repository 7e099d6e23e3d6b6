"""The convolution and batch norm that all parts are made of."""

from __future__ import annotations

from dataclasses import dataclass

from keras import layers

from fashionseg.ops.boxes import Tensor

BATCH_NORM_EPSILON = 1e-3


class RowsBatchNormalization(layers.BatchNormalization):
    """Batch normalisation whose statistics take in the rows of `mask` only; the mask goes no further.

    Args:
        uses_batch: False normalises with the moving statistics in training too, and leaves them alone.
        options: of Keras's layer.
    """

    def __init__(self, uses_batch: bool, **options: object) -> None:
        super().__init__(**options)
        self.uses_batch = uses_batch

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        # `layer(x, training=False)` in a functional model does not last: the model's own flag replaces it
        # (tests/model/test_layers.py).
        return super().call(inputs, training=bool(training) and self.uses_batch, mask=mask)

    def get_config(self) -> dict:
        return {**super().get_config(), "uses_batch": self.uses_batch}

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> None:
        return None


@dataclass(frozen=True)
class BatchNorm:
    """Makes batch normalisations; `is_trained=False` uses the moving statistics in training too.

    gamma and beta are trained either way, as in Matterport's code.
    """

    is_trained: bool
    momentum: float

    def __call__(self, x: Tensor, name: str, mask: Tensor | None = None, gamma: str = "ones") -> Tensor:
        layer = RowsBatchNormalization(
            self.is_trained,
            epsilon=BATCH_NORM_EPSILON,
            momentum=self.momentum,
            gamma_initializer=gamma,
            name=name,
        )
        return layer(x, mask=mask) if mask is not None else layer(x)


def conv(
    x: Tensor, channels: int, size: int, name: str, strides: int = 1, padding: str = "same", **options: object
) -> Tensor:
    """A convolution with He initialisation for the ReLU behind it."""
    options.setdefault("kernel_initializer", "he_normal")
    return layers.Conv2D(channels, size, strides=strides, padding=padding, name=name, **options)(x)


def relu(x: Tensor, name: str) -> Tensor:
    """ReLU. Named like every layer: names that Keras numbers on would differ between two networks of a process, and
    with them the bytes of the weight file (tests/model/test_mask_rcnn.py)."""
    return layers.Activation("relu", name=name)(x)
