"""The network put together: edge cases of a batch, frozen layers, saving."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from keras import ops
from tools.parity.backend import gradients

from fashionseg.errors import UserError
from fashionseg.model import mask_rcnn
from fashionseg.model.build import build_mask_rcnn
from fashionseg.model.folder import load_network, save_network
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.training.network import TrainingNetwork

FROZEN = {"model.batch_norm.backbone": False, "model.batch_norm.heads": False}


def losses_of(network: MaskRCNN, batch: dict) -> dict:
    return {name: term.value for name, term in network.loss_terms(batch, True).items()}


pytestmark = pytest.mark.slow


def values(losses: dict) -> dict[str, float]:
    return {name: float(ops.convert_to_numpy(value)) for name, value in losses.items()}


def test_losses_and_gradients_are_finite_with_and_without_instances(make_network, batch):
    network = make_network()
    losses, found = gradients(lambda: losses_of(network, batch), network.trainable_variables)
    assert sorted(losses) == sorted(network.loss_names)
    assert all(np.isfinite(value) for value in values(losses).values())
    assert values(losses)["mask_loss"] > 0
    assert all(gradient is not None for gradient in found)
    assert all(np.isfinite(ops.convert_to_numpy(gradient)).all() for gradient in found)


@pytest.mark.fault(table="instances", case="photos without an instance")
def test_batch_without_instances_trains_the_background_only(make_network, batch):
    batch["gt_classes"][:] = 0
    batch["gt_boxes"][:] = 0
    losses = values(losses_of(make_network(), batch))
    for name in ("rpn_box_loss", "box_loss", "mask_loss"):
        assert losses[name] == 0
    assert losses["rpn_class_loss"] > 0
    assert losses["class_loss"] > 0


def test_one_pixel_and_border_instances_have_finite_losses(make_network, batch):
    batch["gt_boxes"][0, :2] = [[10, 10, 11, 11], [0, 60, 64, 64]]
    assert all(np.isfinite(value) for value in values(losses_of(make_network(), batch)).values())


def test_detections_stay_inside_the_window(make_network, batch):
    network = make_network({"inference.score_threshold": 0.0})
    windows = np.array([[0, 8, 64, 56], [16, 0, 48, 64]], np.float32)
    output = network({"images": batch["images"], "windows": windows})
    boxes, classes, masks = (ops.convert_to_numpy(output[key]) for key in ("boxes", "classes", "masks"))
    assert boxes.shape == (2, 6, 4)
    assert masks.shape == (2, 6, 28, 28)
    assert ((masks >= 0) & (masks <= 1)).all()
    real = classes > 0
    assert real.any()
    for image, window in enumerate(windows):
        own = boxes[image, real[image]]
        assert (own[:, :2] >= window[:2] - 1e-3).all()
        assert (own[:, 2:] <= window[2:] + 1e-3).all()


@pytest.mark.parametrize("count", [0, 1, 8, 9, 20])
def test_masks_do_not_depend_on_the_number_of_mask_head_rows(make_network, batch, count):
    """The head runs on 8 rows, 16 or all 20; the first image has `count` detections, the second half as many."""
    network = make_network({"inference.max_detections": 20})
    pyramid = network.pyramid(batch["images"] // 100 + 115)  # near the mean pixel: no saturated probabilities
    corners = np.random.default_rng(1).uniform(0, 0.6, (2, 20, 2))
    boxes = np.concatenate([corners, corners + 0.3], axis=2).astype(np.float32)
    classes = np.full((2, 20), 2, np.int32)
    boxes[0, count:] = boxes[1, count // 2 :] = 0.0
    classes[0, count:] = classes[1, count // 2 :] = 0
    masks = ops.convert_to_numpy(network.masks(pyramid, boxes, classes))
    all_rows = ops.sigmoid(network.segment(pyramid, boxes)[..., 2])
    expected = ops.convert_to_numpy(all_rows) * (classes > 0)[..., None, None]
    np.testing.assert_allclose(masks, expected, atol=1e-5)


MANY_MASKS = FROZEN | {
    "sampling.rois_per_image": 60,
    "sampling.post_nms_top_k": 60,
    "sampling.positive_fraction": 0.5,
    "sampling.mask_rois_per_image": 30,
}


def crowded(batch: dict, count: int) -> dict:
    """The batch with `count` large instances on its first photo and half as many on its second."""
    boxes, classes = np.zeros((2, 30, 4), np.float32), np.zeros((2, 30), np.int32)
    corners = np.random.default_rng(1).uniform(0, 30, (2, 30, 2))
    for image, number in enumerate((count, count // 2)):
        boxes[image, :number] = np.concatenate([corners, corners + 30], axis=2)[image, :number]
        classes[image, :number] = 2
    masks = np.zeros((2, 30, 56, 56), np.uint8)
    masks[:, :, 9:40, 5:50] = 1
    return {**batch, "gt_boxes": boxes, "gt_classes": classes, "gt_masks": masks}


@pytest.mark.parametrize("quality", [0, 8])
@pytest.mark.parametrize("count", [0, 3, 12, 30])
def test_losses_and_gradients_do_not_depend_on_the_number_of_mask_head_rows(
    make_network, batch, monkeypatch, count, quality
):
    """The head runs on 8 rows, 16 or all 30."""
    network = make_network(MANY_MASKS | {"model.mask_iou_head.channels": quality})
    batch = crowded(batch, count)
    weights = network.trainable_variables
    losses, found = gradients(lambda: losses_of(network, batch), weights)
    rows = []
    monkeypatch.setattr(mask_rcnn, "on_real_rows", lambda work, is_real: rows.append(is_real) or work(30))
    expected_losses, expected = gradients(lambda: losses_of(network, batch), weights)
    assert count / 2 <= ops.convert_to_numpy(rows[0]).sum(axis=1).max() <= 30
    assert values(losses) == pytest.approx(values(expected_losses), rel=1e-5)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other), rtol=1e-3, atol=1e-5
        )


def test_a_compiled_training_on_few_mask_head_rows_is_the_one_on_all(make_network, batch, monkeypatch):
    """As a graph, where the number of rows is chosen in each step: two steps with different numbers."""
    batches = [
        {key: ops.convert_to_tensor(value) for key, value in crowded(batch, n).items()} for n in (3, 20)
    ]
    found = []
    for chosen in (mask_rcnn.on_real_rows, lambda work, is_real: work(30)):
        monkeypatch.setattr(mask_rcnn, "on_real_rows", chosen)
        training = TrainingNetwork(make_network(MANY_MASKS), {}, l2_decay=0.0)
        training.compile(optimizer=keras.optimizers.SGD(1e-3))
        losses = [training.train_on_batch(own, return_dict=True)["loss"] for own in batches]
        found.append((losses, training.network.get_weights()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    changes = []
    for one, other, initial in zip(
        found[0][1], found[1][1], make_network(MANY_MASKS).get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)
        changes.append(np.abs(one - initial).max())
    assert max(changes) > 0.1  # the control: far more than the tolerance


def test_logits_of_one_class_match_the_logits_of_all(make_network, batch):
    network = make_network()
    pyramid = network.pyramid(batch["images"])
    rois = np.array([[[0, 0, 0.5, 0.5], [0.2, 0.1, 0.9, 1]], [[0, 0, 0, 0], [0.4, 0, 1, 0.3]]], np.float32)
    classes = np.array([[1, 5], [0, 3]], np.int32)
    of_all = ops.convert_to_numpy(network.segment(pyramid, rois))
    expected = np.take_along_axis(of_all, classes[..., None, None, None], axis=4)[..., 0]
    own = ops.convert_to_numpy(network.segment_class(pyramid, rois, classes))
    np.testing.assert_allclose(own, expected, atol=1e-4, rtol=1e-5)


def test_a_class_agnostic_mask_is_the_same_for_every_class(make_network, batch):
    network = make_network({"model.mask_head.class_agnostic": True})
    pyramid = network.pyramid(batch["images"] // 100 + 115)
    rois = np.array(
        [[[0, 0, 0.5, 0.5], [0.2, 0.1, 0.9, 1]], [[0, 0.1, 1, 0.4], [0.4, 0, 1, 0.3]]], np.float32
    )
    logits = ops.convert_to_numpy(network.segment(pyramid, rois))
    assert logits.shape == (2, 2, 28, 28, 1)
    for classes in ([[1, 5], [2, 3]], [[4, 4], [0, 1]]):
        own = network.segment_class(pyramid, rois, np.array(classes, np.int32))
        np.testing.assert_allclose(ops.convert_to_numpy(own), logits[..., 0], atol=1e-4, rtol=1e-5)


LEVERS = {
    "class_agnostic": {"model.mask_head.class_agnostic": True},
    "label_smoothing": {"sampling.label_smoothing": 0.2},
}


@pytest.mark.parametrize("changes", LEVERS.values(), ids=LEVERS)
def test_one_step_with_a_lever_changes_the_weights_of_every_head(make_network, batch, changes):
    network = make_network(changes)
    weights = network.trainable_variables
    before = [ops.convert_to_numpy(weight) for weight in weights]
    losses, found = gradients(lambda: losses_of(network, batch), weights)
    assert all(np.isfinite(value) and value > 0 for value in values(losses).values())
    keras.optimizers.SGD(0.01).apply(found, weights)
    changed = {
        part.name
        for part in (network.backbone, network.fpn, network.rpn_head, network.box_head, network.mask_head)
        for weight, old in zip(weights, before, strict=True)
        if any(weight is own for own in part.trainable_variables) and not np.array_equal(weight, old)
    }
    assert len(changed) == 5


def test_smoothing_changes_the_class_loss_alone(make_network, batch):
    plain, smoothed = (
        values(losses_of(make_network(FROZEN | {"sampling.label_smoothing": share}), batch))
        for share in (0.0, 0.2)
    )
    different = {name for name in plain if plain[name] != smoothed[name]}
    assert different == {"class_loss"}


def test_smoothing_without_the_groups_of_the_categories_is_an_error(small_params):
    params = small_params({"sampling.label_smoothing": 0.1})
    for groups, got in ((None, "none"), (("a", "b"), "2")):
        with pytest.raises(ValueError, match=f"expected the groups of 5 categories, got {got}"):
            build_mask_rcnn(params.model, 5, params.inference, params.sampling, groups)


def test_compiled_losses_match_eager(make_network, batch):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("compiled form of TensorFlow")
    import tensorflow as tf

    eager = values(losses_of(make_network(FROZEN, seed=1), batch))
    network = make_network(FROZEN, seed=1)
    compiled = values(tf.function(lambda b: losses_of(network, b))(batch))
    assert compiled == pytest.approx(eager, rel=1e-4)


@pytest.mark.parametrize("changes", [{}, LEVERS["class_agnostic"]], ids=["plain", "class_agnostic"])
def test_a_saved_folder_loads_to_the_same_network_and_bytes(
    make_network, small_params, batch, tmp_path, changes
):
    network, params = make_network(changes, seed=3), small_params(changes)
    names = tuple(f"garment {i}" for i in range(5))
    save_network(network, params.model, names, tmp_path / "a")
    loaded = load_network(tmp_path / "a", params.inference)
    assert (loaded.model, loaded.category_names) == (params.model, names)
    inputs = {"images": batch["images"], "windows": np.array([[0, 0, 64, 64]] * 2, np.float32)}
    for key, value in network(inputs).items():
        np.testing.assert_array_equal(
            ops.convert_to_numpy(loaded.network(inputs)[key]), ops.convert_to_numpy(value)
        )
    save_network(loaded.network, loaded.model, names, tmp_path / "b")
    for file in ("model.weights.h5", "model.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_weights_of_another_network_are_refused(make_network, small_params, tmp_path):
    params = small_params()
    save_network(make_network(), params.model, ("a",) * 5, tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    description["model"]["mask_head"]["channels"] = 16
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"model\.weights\.h5: weights that do not fit"):
        load_network(tmp_path, params.inference)


def test_padding_photos_count_in_no_loss(make_network, batch):
    """A third, black photo that is padding changes neither the sums nor the counts of the two photos."""
    network = make_network(FROZEN)
    padded = {key: np.concatenate([value, value[:1] * 0]) for key, value in batch.items()}
    assert padded["is_photo"].tolist() == [True, True, False]
    alone, with_padding = network.loss_terms(batch, False), network.loss_terms(padded, False)
    for name in network.loss_names:
        for ours, other in zip(alone[name], with_padding[name], strict=True):
            assert float(ours) == pytest.approx(float(other), rel=1e-5), name
    # The control: as a photo it counts.
    padded["is_photo"][:] = True
    counted = network.loss_terms(padded, False)
    assert float(counted["rpn_class_loss"].count) > float(alone["rpn_class_loss"].count)
