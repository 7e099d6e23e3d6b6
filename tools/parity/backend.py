"""What the comparison needs of the backend: exact float32 products, float64, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import keras

from fashionseg.model.layers import ConvNorm
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.ops.boxes import Tensor


def exact_products() -> None:
    """Float32 matrix products and convolutions in float32: GPUs would round their inputs to TF32."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")


def compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`function` with `options`, as one program where running op by op is slow (JAX)."""
    function = partial(function, **options)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function


@contextmanager
def double_precision() -> Iterator[None]:
    """Float64 tensors, which JAX refuses by default."""
    if keras.backend.backend() == "jax":
        import jax

        with jax.enable_x64(True):
            yield
    else:
        with nullcontext():
            yield


@contextmanager
def rounded_as_matterports(network: MaskRCNN) -> Iterator[None]:
    """Normalises after each convolution, as Matterport's code does, where the last bit decides on a whole value.

    In the kernels, where training and inference have it, batch norm rounds otherwise; a ReLU near zero or a sample of a
    RoI at the border of its map may then fall to the other side.
    """
    parts = (network.backbone, network.box_head, network.mask_head)
    changed = [layer for part in parts for layer in part.layers if isinstance(layer, ConvNorm)]
    for layer in changed:
        layer.folds = False
    try:
        yield
    finally:
        for layer in changed:
            layer.folds = True


def gradients(
    function: Callable[[], dict[str, Tensor]], variables: Sequence[keras.Variable]
) -> tuple[dict[str, Tensor], list[Any]]:
    """What `function` returns, and the gradient of its sum with respect to `variables`."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            values = function()
            total = sum(values.values())
        return values, tape.gradient(total, [variable.value for variable in variables])

    import jax

    def stateless(arrays: list[Any]) -> tuple[Tensor, dict[str, Tensor]]:
        with keras.StatelessScope(state_mapping=list(zip(variables, arrays, strict=True))):
            values = function()
        return sum(values.values()), values

    arrays = [variable.value for variable in variables]
    (_, values), found = jax.value_and_grad(stateless, has_aux=True)(arrays)
    return values, found
