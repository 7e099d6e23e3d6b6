"""Frozen stages of a backbone: not trained, unchanged by a step, and without a backward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import keras
import numpy as np
import pytest

from fashionseg.model.layers import ConvNorm
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.training.network import TrainingNetwork

pytestmark = pytest.mark.slow

LITE0, RESNET14 = "efficientnet_lite0", "resnet14"
# Convolutions up to the end of each stage. EfficientNet-Lite0: the stem; 1 block of 2 and 2 of 3; 2, 6 and 5 of 3.
# ResNet-14: the stem and four blocks of three and a shortcut.
CONVOLUTIONS = {LITE0: (0, 1, 9, 15, 33, 48), RESNET14: (0, 1, 5, 9, 13, 17)}

MakeNetwork = Callable[..., MaskRCNN]


def make(make_network: MakeNetwork, name: str, **changes: object) -> MaskRCNN:
    return make_network({"model.backbone.name": name, **changes})


def frozen_convolutions(network: MaskRCNN) -> list[str]:
    layers = [layer for layer in network.backbone.layers if isinstance(layer, ConvNorm)]
    assert all(bool(layer.trainable_variables) == layer.trainable for layer in layers)
    return [layer.conv_name for layer in layers if not layer.trainable]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_first_stages_are_frozen_and_all_others_trained(make_network: MakeNetwork, name: str) -> None:
    network = make(make_network, name)
    order = [layer.conv_name for layer in network.backbone.layers if isinstance(layer, ConvNorm)]
    for stages, count in enumerate(CONVOLUTIONS[name]):
        network.set_phase("all", stages)
        frozen = frozen_convolutions(network)
        assert len(frozen) == count
        assert set(frozen) == set(order[:count])
        arrays = 4 if name == RESNET14 else 3  # kernel, gamma, beta, and the bias of a ResNet
        assert len(network.backbone_variables) == arrays * (CONVOLUTIONS[name][-1] - count)
        assert network.fpn.trainable_variables and network.box_head.trainable_variables
    network.set_phase("all")
    assert frozen_convolutions(network) == []


def test_the_heads_are_trained_with_the_whole_backbone_frozen(make_network: MakeNetwork) -> None:
    network = make(make_network, RESNET14)
    for stages in (0, 2):
        network.set_phase("heads", stages)
        assert network.backbone_variables == []
        assert network.mask_head.trainable_variables


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_step_changes_no_frozen_weight_and_no_frozen_statistic(
    make_network: MakeNetwork, batch: dict[str, np.ndarray], name: str
) -> None:
    """Batch norm of the backbone uses batch statistics, and would move its own."""
    network = make(make_network, name, **{"model.batch_norm.backbone": True})
    network.set_phase("all", 3)
    frozen = set(frozen_convolutions(network))
    training = TrainingNetwork(network, {}, l2_decay=1e-3)
    training.compile(
        optimizer=keras.optimizers.AdamW(0.01, weight_decay=0.1), run_eagerly=True
    )  # no graph for one step
    layers = [layer for layer in network.backbone.layers if isinstance(layer, ConvNorm)]
    before = {layer.conv_name: [np.array(variable) for variable in layer.variables] for layer in layers}
    training.fit(((batch,) for _ in range(1)), steps_per_epoch=1, shuffle=False, verbose=0)
    for layer in layers:
        after = zip(before[layer.conv_name], layer.variables, strict=True)
        changed = [
            variable.name for array, variable in after if not np.array_equal(array, np.array(variable))
        ]
        if layer.conv_name in frozen:
            assert changed == [], layer.conv_name
        else:
            assert {"kernel", "moving_mean", "moving_variance"} <= set(changed), layer.conv_name


def backward_operations(network: MaskRCNN, images: np.ndarray) -> Counter[str]:
    """Kinds of the operations in the graph of the pyramid's gradient, those that no gradient needs left out."""
    import tensorflow as tf

    trained = [*network.fpn.trainable_variables, *network.backbone_variables]

    @tf.function(autograph=False)
    def gradients() -> list:
        with tf.GradientTape() as tape:
            loss = sum(keras.ops.mean(level) for level in network.pyramid(images, training=True))
        return tape.gradient(loss, [variable.value for variable in trained])

    graph = gradients.get_concrete_function().graph
    needed, left = set(), [tensor.op for tensor in graph.outputs]
    while left:
        operation = left.pop()
        if operation not in needed:
            needed.add(operation)
            left.extend(tensor.op for tensor in operation.inputs)
    kinds = {
        "BackpropFilter": "of kernels",
        "BackpropInput": "of inputs",
    }
    return Counter(kind for op in needed for ending, kind in kinds.items() if op.type.endswith(ending))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="reads TensorFlow's graph")
def test_frozen_stages_have_no_backward_pass(make_network: MakeNetwork, batch: dict[str, np.ndarray]) -> None:
    """A convolution has two gradients: of its kernel, and of its input unless nothing before it is trained.

    EfficientNet is a chain, so that each frozen convolution saves both: the stem has no gradient of its input, but the
    first trained one has none either when the stem is frozen. A frozen map, C2 and further, saves that of the pyramid's
    convolution on it.
    """
    network = make(make_network, LITE0, **{"model.batch_norm.backbone": False})
    network.set_phase("all")
    whole = backward_operations(network, batch["images"])
    assert whole["of kernels"] >= CONVOLUTIONS[LITE0][-1]
    for stages in (1, 2, 3, 4):
        network.set_phase("all", stages)
        found = backward_operations(network, batch["images"])
        assert {kind: whole[kind] - found[kind] for kind in whole} == {
            "of kernels": CONVOLUTIONS[LITE0][stages],
            "of inputs": CONVOLUTIONS[LITE0][stages] + stages - 1,
        }
