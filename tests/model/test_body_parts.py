"""Body landmarks as maps and as geometry: values by hand, and networks that begin as the one without."""

from __future__ import annotations

from math import exp
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops
from tools.parity.backend import gradients

from fashionseg.data.poses import MASK_SIDE, NUM_LANDMARKS
from fashionseg.errors import UserError
from fashionseg.model.body_parts import LandmarkMaps, roi_geometry
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.model.networks import build_network
from fashionseg.model.weights import save_matterport
from fashionseg.training.network import TrainingNetwork
from small_params import SIZE, make_small_params

pytestmark = pytest.mark.slow

WINDOWS = np.array([[0, 8, 64, 56], [16, 0, 48, 64]], np.float32)


def landmarks_at(*places: tuple[float, float, float]) -> np.ndarray:
    """One photo whose first landmarks are given; the others are not visible."""
    landmarks = np.zeros((1, NUM_LANDMARKS, 3), np.float32)
    landmarks[0, : len(places)] = np.reshape(places, (-1, 3))
    return landmarks


@pytest.fixture
def posed(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The batch with a person on the first photo and none on the second."""
    rng = np.random.default_rng(5)
    landmarks = np.zeros((2, NUM_LANDMARKS, 3), np.float32)
    landmarks[0] = np.concatenate([rng.uniform(0, SIZE, (33, 2)), rng.uniform(0, 1, (33, 1))], axis=1)
    masks = np.zeros((2, MASK_SIDE, MASK_SIDE), np.uint8)
    masks[0, 8:56, 20:40] = 255
    return {**batch, "landmarks": landmarks, "person_masks": masks}


def test_a_map_is_a_gaussian_about_its_landmark() -> None:
    """64 pixels, 16 cells of 4: spread max(64 / 32, 4) = 4 pixels. The landmark is on the centre of cell (5, 2)."""
    maps = LandmarkMaps(64, 8).maps(landmarks_at((22, 10, 0.5)), np.zeros((1, 64, 64), np.uint8), 16)
    maps = ops.convert_to_numpy(maps)
    assert maps.shape == (1, 16, 16, NUM_LANDMARKS + 1)
    assert maps[0, 5, 2, 0] == pytest.approx(0.5)
    assert maps[0, 5, 3, 0] == pytest.approx(0.5 * exp(-0.5))
    assert maps[0, 6, 3, 0] == pytest.approx(0.5 * exp(-1.0))
    assert not maps[..., 1:].any()


def test_the_person_mask_is_averaged_by_area() -> None:
    """64 cells to 16: each is the mean of 4 x 4. To 80, more than the mask has, a full mask stays full."""
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, 4:6, 8:12] = 255  # half of cell (1, 2)
    layer = LandmarkMaps(64, 8)
    person = ops.convert_to_numpy(layer.maps(landmarks_at(), mask, 16))[..., -1]
    assert person[0, 1, 2] == pytest.approx(0.5)
    assert person.sum() == pytest.approx(0.5)
    full = ops.convert_to_numpy(layer.maps(landmarks_at(), np.full((1, 64, 64), 255, np.uint8), 80))[..., -1]
    np.testing.assert_allclose(full, 1.0, atol=1e-6)


def test_geometry_is_in_sides_of_the_roi() -> None:
    """Of 65 pixels: an RoI of 0.25 to 0.75 down and 0 to 0.5 across has its centre at 32, 16 and sides of 32 pixels."""
    rois = np.array([[[0.25, 0.0, 0.75, 0.5], [0, 0, 0, 0]]], np.float32)
    landmarks = landmarks_at((48, 16, 1.0), (32, 0, 0.5), (32, 64 * 4, 1.0))
    found = ops.convert_to_numpy(roi_geometry(rois, landmarks, 65)).reshape(1, 2, NUM_LANDMARKS, 3)
    np.testing.assert_allclose(found[0, 0, 0], [0.5, 0.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(
        found[0, 0, 1], [0.0, -0.25, 0.5], atol=1e-6
    )  # half visible: half the distance
    np.testing.assert_allclose(found[0, 0, 2], [0.0, 3.0, 1.0], atol=1e-6)  # far: 7.5 sides count as 3
    assert not found[0, 0, 3:].any()
    assert np.isfinite(found[0, 1]).all()


def build(body_parts: str, architecture: str = "mask_rcnn") -> Any:
    keras.utils.set_random_seed(0)
    params = make_small_params({"model.body_parts": body_parts, "model.architecture": architecture})
    return build_network(params.model, 5, params.inference, params.sampling)


@pytest.mark.parametrize("architecture", ["mask_rcnn", "cascade_mask_rcnn"])
@pytest.mark.parametrize("body_parts", ["maps", "roi"])
def test_a_network_begins_as_the_one_without_and_then_uses_the_landmarks(
    posed: dict[str, np.ndarray], body_parts: str, architecture: str
) -> None:
    posed["images"] = posed["images"] // 100 + 115  # near the mean pixel: losses of ordinary size
    plain, network = build("none", architecture), build(body_parts, architecture)
    assert (plain.takes_pose, network.takes_pose) == (False, True)
    copy_shared(plain, network)
    assert value(network, posed) == pytest.approx(value(plain, posed), rel=1e-5)
    added = [weight for weight in network.trainable_variables if is_added(weight)]
    projections = [weight for weight in added if "projection" in weight.path]
    _, found = gradients(lambda: losses_of(network, posed), projections)
    assert all(np.abs(ops.convert_to_numpy(gradient)).max() > 0 for gradient in found)
    for projection in projections:
        projection.assign(np.random.default_rng(3).normal(0, 0.1, projection.shape))
    moved = {**posed, "landmarks": posed["landmarks"] * np.array([0.5, 0.5, 1], np.float32)}
    assert value(network, moved) != pytest.approx(value(network, posed), rel=1e-6)
    # Without a visible landmark and without a person nothing depends on where the landmarks are said to be.
    unseen = {name: np.zeros_like(posed[name]) for name in ("landmarks", "person_masks")}
    elsewhere = {**unseen, "landmarks": unseen["landmarks"] + np.array([9, 9, 0], np.float32)}
    assert value(network, {**posed, **elsewhere}) == pytest.approx(
        value(network, {**posed, **unseen}), rel=1e-6
    )


@pytest.mark.parametrize("body_parts", ["maps", "roi"])
def test_detections_take_the_landmarks(posed: dict[str, np.ndarray], body_parts: str) -> None:
    network = build(body_parts)
    found = network.predict_on_batch(
        {name: posed[name] for name in ("images", "landmarks", "person_masks")} | {"windows": WINDOWS}
    )
    assert found["boxes"].shape == (2, 6, 4)


@pytest.mark.parametrize("body_parts", ["maps", "roi"])
def test_losses_take_batches_of_a_size_that_is_not_known_before(
    posed: dict[str, np.ndarray], body_parts: str
) -> None:
    training = TrainingNetwork(build(body_parts), {}, l2_decay=0.0)
    training.compile()
    found = training.evaluate(((posed,) for _ in range(2)), steps=2, return_dict=True, verbose=0)
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("body_parts", ["maps", "roi"])
def test_such_a_network_has_no_form_in_matterports_layout(tmp_path: Any, body_parts: str) -> None:
    with pytest.raises(UserError, match=r"no body parts, got .*model\.body_parts"):
        save_matterport(build(body_parts), tmp_path / "weights.h5")


def is_added(weight: Any) -> bool:
    return "landmark" in weight.path or "geometry" in weight.path


def copy_shared(source: MaskRCNN, target: MaskRCNN) -> None:
    """The weights that both have, in order."""
    shared = [weight for weight in target.weights if not is_added(weight)]
    for own, other in zip(shared, source.weights, strict=True):
        own.assign(other)


def losses_of(network: MaskRCNN, batch: dict[str, np.ndarray]) -> Any:
    return {name: term.value for name, term in network.loss_terms(batch, training=False).items()}


def value(network: MaskRCNN, batch: dict[str, np.ndarray]) -> float:
    return float(sum(ops.convert_to_numpy(loss) for loss in losses_of(network, batch).values()))
