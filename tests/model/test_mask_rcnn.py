"""The network put together: edge cases of a batch, frozen layers, saving."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops
from tools.parity.backend import gradients

from fashionseg.errors import UserError
from fashionseg.model.build import load_model, save_model
from fashionseg.model.losses import LOSS_NAMES


def values(losses: dict) -> dict[str, float]:
    return {name: float(ops.convert_to_numpy(value)) for name, value in losses.items()}


def test_losses_and_gradients_are_finite_with_and_without_instances(make_network, batch):
    network = make_network()
    losses, found = gradients(lambda: network.losses_of(batch, True), network.trainable_variables)
    assert sorted(losses) == sorted(LOSS_NAMES)
    assert all(np.isfinite(value) for value in values(losses).values())
    assert values(losses)["mrcnn_mask_loss"] > 0
    assert all(gradient is not None for gradient in found)
    assert all(np.isfinite(ops.convert_to_numpy(gradient)).all() for gradient in found)


def test_a_batch_without_any_instance_teaches_the_background_only(make_network, batch):
    batch["gt_classes"][:] = 0
    batch["gt_boxes"][:] = 0
    losses = values(make_network().losses_of(batch, True))
    for name in ("rpn_bbox_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss"):
        assert losses[name] == 0
    assert losses["rpn_class_loss"] > 0
    assert losses["mrcnn_class_loss"] > 0


def test_an_instance_of_one_pixel_and_one_at_the_border_have_finite_losses(make_network, batch):
    batch["gt_boxes"][0, :2] = [[10, 10, 11, 11], [0, 60, 64, 64]]
    assert all(np.isfinite(value) for value in values(make_network().losses_of(batch, True)).values())


def test_detections_are_classes_in_the_window(make_network, batch):
    network = make_network(detection_min_confidence=0.0)
    windows = np.array([[0, 8, 64, 56], [16, 0, 48, 64]], np.float32)
    output = network({"images": batch["images"], "windows": windows})
    detections, masks = (ops.convert_to_numpy(output[key]) for key in ("detections", "masks"))
    assert detections.shape == (2, 6, 6)
    assert masks.shape == (2, 6, 28, 28)
    assert ((masks >= 0) & (masks <= 1)).all()
    boxes = detections[..., :4] * 63 + [0, 0, 1, 1]
    real = detections[..., 4] > 0
    assert real.any()
    for image, window in enumerate(windows):
        own = boxes[image, real[image]]
        assert (own[:, :2] >= window[:2] - 1e-3).all()
        assert (own[:, 2:] <= window[2:] + 1e-3).all()


@pytest.mark.parametrize("count", [0, 1, 8, 9, 20])
def test_masks_do_not_depend_on_how_many_rows_the_head_runs(make_network, batch, count):
    """The head runs on 8 rows, 16 or all 20; the first image has `count` detections, the second half as many."""
    network = make_network(detection_max_instances=20)
    pyramid = network.pyramid(batch["images"] // 100 + 115)  # near the mean pixel: no saturated probabilities
    corners = np.random.default_rng(1).uniform(0, 0.6, (2, 20, 2))
    rows = np.concatenate([corners, corners + 0.3, np.full((2, 20, 1), 2), np.full((2, 20, 1), 0.9)], axis=2)
    rows[0, count:] = rows[1, count // 2 :] = 0.0
    detections = rows.astype(np.float32)
    masks = ops.convert_to_numpy(network.masks(pyramid, detections))
    all_rows = ops.sigmoid(network.segment(pyramid, detections[..., :4])[..., 2])
    expected = ops.convert_to_numpy(all_rows) * (rows[..., 4] > 0)[..., None, None]
    np.testing.assert_allclose(masks, expected, atol=1e-5)


def test_the_logits_of_a_class_are_those_among_all_classes(make_network, batch):
    network = make_network()
    pyramid = network.pyramid(batch["images"])
    rois = np.array([[[0, 0, 0.5, 0.5], [0.2, 0.1, 0.9, 1]], [[0, 0, 0, 0], [0.4, 0, 1, 0.3]]], np.float32)
    classes = np.array([[1, 5], [0, 3]], np.int32)
    of_all = ops.convert_to_numpy(network.segment(pyramid, rois))
    expected = np.take_along_axis(of_all, classes[..., None, None, None], axis=4)[..., 0]
    own = ops.convert_to_numpy(network.segment_class(pyramid, rois, classes))
    np.testing.assert_allclose(own, expected, atol=1e-4, rtol=1e-5)


def test_compiled_losses_are_the_eager_ones(make_network, batch):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("compiled form of TensorFlow")
    import tensorflow as tf

    # Twice the same seed: the sampling of anchors and RoIs draws from the network's own generator.
    eager = values(make_network(seed=1, train_bn=False).losses_of(batch, True))
    network = make_network(seed=1, train_bn=False)
    compiled = values(tf.function(lambda b: network.losses_of(b, True))(batch))
    assert compiled == pytest.approx(eager, rel=1e-4)


def test_a_saved_folder_loads_to_the_same_network_and_bytes(make_network, small_model, batch, tmp_path):
    network = make_network(seed=3)
    names = tuple(f"garment {i}" for i in range(5))
    save_model(network, small_model(), names, tmp_path / "a")
    loaded, model, loaded_names = load_model(tmp_path / "a")
    assert (model, loaded_names) == (small_model(), names)
    inputs = {"images": batch["images"], "windows": np.array([[0, 0, 64, 64]] * 2, np.float32)}
    for key, value in network(inputs).items():
        np.testing.assert_array_equal(ops.convert_to_numpy(loaded(inputs)[key]), ops.convert_to_numpy(value))
    save_model(loaded, model, names, tmp_path / "b")
    for file in ("model.weights.h5", "model.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_weights_of_another_network_are_refused(make_network, small_model, tmp_path):
    save_model(make_network(), small_model(), ("a",) * 5, tmp_path)
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace('"mask_channels": 8', '"mask_channels": 16'))
    with pytest.raises(UserError, match=r"model\.weights\.h5: weights that do not fit"):
        load_model(tmp_path)
