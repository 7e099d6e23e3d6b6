"""The layers alone: nothing but convolutions and matrix products, and all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from tools.bench.floor import LayersAlone, strip
from tools.bench.inference import measure_inference
from tools.bench.rows import Bench
from tools.bench.training import compiled_floor, make_batch, measure_training

from fashionseg.model.build import build_mask_rcnn
from fashionseg.model.layers import ConvNorm
from fashionseg.params import Params
from small_params import make_small_params


@pytest.fixture
def params() -> Params:
    return make_small_params({"sampling.max_gt_instances": 8})


@pytest.fixture
def op_by_op() -> Iterator[None]:
    """Steps run without a graph: four networks would take longer to compile than to run once."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
    keras.utils.clear_session(free_memory=True)


def with_weights(model: keras.Model) -> list[str]:
    names = (
        layer.conv_name if isinstance(layer, ConvNorm) else layer.name
        for layer in model.layers
        if layer.weights
    )
    return sorted(names)


def test_stripping_keeps_every_convolution_and_dense_layer(params: Params) -> None:
    network = build_mask_rcnn(params.model, 46, params.inference)
    for part in (network.backbone, network.fpn, network.rpn_head, network.box_head, network.mask_head):
        stripped = strip(part)
        assert with_weights(stripped) == with_weights(part)
        assert [tuple(output.shape) for output in stripped.outputs] == [
            tuple(output.shape) for output in part.outputs
        ]
        assert not [layer for layer in stripped.layers if isinstance(layer, ConvNorm | layers.Activation)]
        activations = {layer.activation.__name__ for layer in stripped.layers if hasattr(layer, "activation")}
        assert activations <= {"linear"}


def test_a_step_of_the_floor_changes_every_kernel(params: Params) -> None:
    floor = compiled_floor(params)
    floor.compile(optimizer=keras.optimizers.SGD(0.1))
    before = [np.array(weight) for weight in floor.trainable_variables]
    floor.train_on_batch(make_batch(params, 2))
    unchanged = [
        weight.path
        for weight, old in zip(floor.trainable_variables, before, strict=True)
        if np.array_equal(np.array(weight), old)
    ]
    assert unchanged == []


def test_the_heads_of_the_floor_see_as_many_rows_as_in_training(params: Params) -> None:
    floor = compiled_floor(params)
    sampler = build_mask_rcnn(params.model, 46, params.inference, params.sampling).roi_sampler
    assert sampler is not None
    assert (floor.rois, floor.mask_rois) == (sampler.rois_per_image, sampler.num_masks)


def test_the_floor_runs_for_inference(params: Params) -> None:
    inference = params.inference
    network = build_mask_rcnn(params.model, 46, inference)
    floor = LayersAlone(network, inference.post_nms_top_k, inference.max_detections)
    floor.compile()
    outputs = floor.predict_on_batch({"images": np.zeros((1, 64, 64, 3), np.uint8)})
    # Logits and deltas of five levels, then class and box, features and logits of the mask.
    assert len(outputs) == 2 * 5 + 4
    assert all(np.isfinite(output).all() for output in outputs)


def test_networks_are_measured(params: Params, tmp_path: Path, op_by_op: None) -> None:
    bench = Bench(params, tmp_path, repeats=1, networks=(("resnet14", 64),))
    (training,) = measure_training(bench)
    assert training.target == 1.3
    inference, by_size = measure_inference(bench)
    assert inference.target == 1.3
    assert "2356 x 1571 against 64 x 43" in by_size.on
