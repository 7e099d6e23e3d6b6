"""Convolutions, alone or followed by batch norm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from fashionseg.ops.boxes import Tensor

BATCH_NORM_EPSILON = 1e-3


class _RowsBatchNormalization(layers.BatchNormalization):
    """Batch normalisation that consumes the mask."""

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> None:
        return None


class ConvNorm(layers.Layer):
    """A convolution followed by batch norm, folded into one convolution where moving statistics are used.

    Folding (Jacob et al. 2018, section 3.2) leaves all gradients the same, gamma's included, and saves the passes over
    the feature map, a sixth of a training step (ResNet-101, 256 px).

    Args:
        filters, size, strides, padding: of the convolution.
        conv_name, norm_name: names of the two layers that hold the weights.
        uses_batch: batch statistics in training; False: moving statistics always.
        momentum: of the moving statistics.
        gamma_initializer: of the batch norm.
        folds: False normalises after the convolution always, which rounds as Matterport's code does.
        bias: whether the convolution has one.
        dtype: policy of the computation; None: Keras's global policy.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        conv_name: str,
        norm_name: str,
        uses_batch: bool,
        momentum: float,
        strides: int = 1,
        padding: str = "same",
        gamma_initializer: str = "ones",
        folds: bool = True,
        bias: bool = True,
        dtype: Any = None,
        **options: Any,
    ) -> None:
        # float32 for the layer itself: variables are read as stored, and kernel times scale is rounded once.
        super().__init__(**{"name": f"{conv_name}_normalised", **options}, dtype="float32", autocast=False)
        self.filters, self.size, self.strides, self.padding = filters, size, strides, padding
        self.conv_name, self.norm_name = conv_name, norm_name
        self.uses_batch, self.momentum, self.gamma_initializer = uses_batch, momentum, gamma_initializer
        self.folds, self.bias = folds, bias
        self.conv = self._make_conv(dtype)
        self.norm = _RowsBatchNormalization(
            epsilon=BATCH_NORM_EPSILON,
            momentum=momentum,
            gamma_initializer=gamma_initializer,
            name=norm_name,
            dtype=dtype,
        )

    def _make_conv(self, dtype: Any) -> layers.Layer:
        return layers.Conv2D(
            self.filters,
            self.size,
            strides=self.strides,
            padding=self.padding,
            use_bias=self.bias,
            kernel_initializer="he_normal",
            name=self.conv_name,
            dtype=dtype,
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None) -> Tensor:
        """[N, h, w, C] -> [N, h', w', filters]; batch statistics cover the rows of `mask` only.

        A frozen layer uses its moving statistics, as Keras's does.
        """
        inputs = ops.cast(inputs, self.conv.compute_dtype)
        uses_batch = bool(training) and self.uses_batch and self.norm.trainable
        if uses_batch or not self.folds:
            outputs = self._convolve(inputs, self.conv.kernel, self.conv.bias if self.bias else None)
            return self.norm(outputs, training=uses_batch, mask=mask)
        scale = self.norm.gamma * ops.rsqrt(self.norm.moving_variance + BATCH_NORM_EPSILON)
        mean = self.norm.moving_mean
        shift = ((self.conv.bias - mean) if self.bias else -mean) * scale + self.norm.beta
        return self._convolve(inputs, self._scaled_kernel(scale), shift)

    def _scaled_kernel(self, scale: Tensor) -> Tensor:
        """The kernel with a factor [filters] on each output channel."""
        return self.conv.kernel * scale

    def _convolve(self, inputs: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        outputs = self._convolve_unbiased(inputs, ops.cast(kernel, inputs.dtype))
        return outputs if bias is None else ops.add(outputs, ops.cast(bias, inputs.dtype))

    def _convolve_unbiased(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        if tuple(inputs.shape[1:3]) == self.conv.kernel_size and self.padding == "valid":
            # One output cell: as a matrix product 1.5 times as fast as a convolution (7 x 7, 400 RoIs, two cores).
            rows = ops.reshape(inputs, (-1, kernel.shape[0] * kernel.shape[1] * kernel.shape[2]))
            product = ops.matmul(rows, ops.reshape(kernel, (-1, self.filters)))
            return ops.reshape(product, (-1, 1, 1, self.filters))
        return ops.conv(inputs, kernel, strides=self.strides, padding=self.padding)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return self.conv.compute_output_shape(input_shape)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor | None = None) -> None:
        """None: the mask is consumed."""
        return

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "filters": self.filters,
            "size": self.size,
            "conv_name": self.conv_name,
            "norm_name": self.norm_name,
            "uses_batch": self.uses_batch,
            "momentum": self.momentum,
            "strides": self.strides,
            "padding": self.padding,
            "gamma_initializer": self.gamma_initializer,
            "folds": self.folds,
            "bias": self.bias,
            "dtype": keras.dtype_policies.serialize(self.conv.dtype_policy),
        }


class DepthwiseConvNorm(ConvNorm):
    """A depthwise 'same' convolution without bias followed by batch norm, folded as `ConvNorm` is."""

    def _make_conv(self, dtype: Any) -> layers.Layer:
        return layers.DepthwiseConv2D(
            self.size,
            strides=self.strides,
            padding=self.padding,
            use_bias=False,
            depthwise_initializer="he_normal",
            name=self.conv_name,
            dtype=dtype,
        )

    def _scaled_kernel(self, scale: Tensor) -> Tensor:
        return self.conv.kernel * scale[:, None]

    def _convolve_unbiased(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return ops.depthwise_conv(inputs, kernel, strides=self.strides, padding=self.padding)


@dataclass(frozen=True)
class BatchNorm:
    """Settings of the batch norm layers; `is_trained=False` uses the moving statistics in training too.

    gamma and beta are trained either way, as in Matterport's code.
    """

    is_trained: bool
    momentum: float

    def conv(
        self,
        x: Tensor,
        channels: int,
        size: int,
        name: str,
        norm_name: str,
        strides: int = 1,
        padding: str = "same",
        mask: Tensor | None = None,
        gamma: str = "ones",
        bias: bool = True,
    ) -> Tensor:
        """A convolution with batch norm; bool `mask` [N, 1, 1] marks the rows that batch statistics cover."""
        layer = ConvNorm(
            channels,
            size,
            name,
            norm_name,
            self.is_trained,
            self.momentum,
            strides,
            padding,
            gamma,
            bias=bias,
        )
        return layer(x, mask=mask) if mask is not None else layer(x)

    def depthwise(self, x: Tensor, size: int, name: str, norm_name: str, strides: int = 1) -> Tensor:
        """A depthwise convolution with batch norm."""
        channels = x.shape[-1]
        return DepthwiseConvNorm(
            channels, size, name, norm_name, self.is_trained, self.momentum, strides, bias=False
        )(x)


def conv(
    x: Tensor, channels: int, size: int, name: str, strides: int = 1, padding: str = "same", **options: object
) -> Tensor:
    """A convolution with He initialisation, for a ReLU after it."""
    options.setdefault("kernel_initializer", "he_normal")
    return layers.Conv2D(channels, size, strides=strides, padding=padding, name=name, **options)(x)


def conv_as_product(layer: layers.Conv2D, patches: Tensor) -> Tensor:
    """A convolution at single cells: patches [N, size * size * C] -> [N, filters], without its activation."""
    kernel = ops.reshape(ops.cast(layer.kernel, patches.dtype), (-1, layer.filters))
    return ops.add(ops.matmul(patches, kernel), ops.cast(layer.bias, patches.dtype))


def relu(x: Tensor, name: str) -> Tensor:
    """ReLU with an explicit name: automatic numbers would differ between two networks of a process, and with them the
    bytes of the weight file (tests/model/test_mask_rcnn.py)."""
    return layers.Activation("relu", name=name)(x)


def relu6(x: Tensor, name: str) -> Tensor:
    """min(ReLU, 6), see `relu`."""
    return layers.Activation("relu6", name=name)(x)


def updates_statistics(part: keras.Model) -> bool:
    """Whether training changes moving statistics of batch norm in this part."""
    return any(
        isinstance(layer, ConvNorm) and layer.uses_batch and layer.norm.trainable for layer in part.layers
    )


def find_layer(part: keras.Model, name: str) -> layers.Layer:
    """The layer of that name, also inside a `ConvNorm`.

    Raises:
        ValueError: there is none.
    """
    for layer in _unpacked_layers(part):
        if layer.name == name:
            return layer
    raise ValueError(f"{part.name}: no layer is named {name}")


def weight_layers(part: keras.Model) -> dict[str, layers.Layer]:
    """Name -> layer with variables, those inside a `ConvNorm` included."""
    return {layer.name: layer for layer in _unpacked_layers(part) if layer.variables}


def _unpacked_layers(part: keras.Model) -> Iterator[layers.Layer]:
    for layer in part.layers:
        yield from (layer.conv, layer.norm) if isinstance(layer, ConvNorm) else (layer,)
