"""Model folders: what they hold, and that folders of every released schema load."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fashionseg.detections.inference import load_detector, predict_photos
from fashionseg.errors import UserError
from fashionseg.model.folder import SCHEMA, load_network, read_description, save_network
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.params import Params, changed

FOLDERS = Path(__file__).parent / "folders"
NAMES = ("hat", "shoe", "dress", "belt", "sleeve")


def test_a_folder_loads_for_another_input_size(small_params: Callable[..., Params]) -> None:
    trained, larger = (
        load_network(FOLDERS / f"v{SCHEMA}", small_params().inference, image_size=size).network
        for size in (None, 96)
    )
    assert (trained.image_size, larger.image_size) == (64, 96)
    for one, other in zip(trained.get_weights(), larger.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    images = np.random.default_rng(1).integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
    larger.predict_on_batch({"images": images, "windows": np.array([[0, 0, 96, 96]], np.float32)})


@pytest.mark.parametrize("version", range(1, SCHEMA + 1))
def test_a_folder_of_each_schema_version_loads_and_detects_what_it_did(
    version: int, small_params: Callable[..., Params]
) -> None:
    folder = FOLDERS / f"v{version}"
    inference = changed(
        small_params().inference, post_nms_top_k=20, score_threshold=0.0, nms_threshold=0.5, max_detections=6
    )
    loaded = load_network(folder, inference)
    assert loaded.category_names == NAMES
    images = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    found = loaded.network.predict_on_batch(
        {"images": images, "windows": np.array([[0, 8, 64, 56]], np.float32)}
    )
    with np.load(folder / "expected.npz") as expected:
        rows, masks = expected["detections"], expected["masks"]
    np.testing.assert_allclose(found["boxes"], rows[..., :4] * 63 + [0, 0, 1, 1], atol=1e-3)
    np.testing.assert_array_equal(found["classes"], rows[..., 4])
    np.testing.assert_allclose(found["scores"], rows[..., 5], atol=1e-5)
    np.testing.assert_allclose(found["masks"], masks, atol=1e-3)


def test_operations_one_by_one_detect_what_the_compiled_network_does(
    small_params: Callable[..., Params],
) -> None:
    inference = changed(small_params().inference, post_nms_top_k=20, score_threshold=0.0, max_detections=6)
    photos = [("a", np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8))]
    eager, compiled = (
        predict_photos(load_detector(FOLDERS / "v3", inference, is_compiled=is_compiled), photos, 1)
        for is_compiled in (False, True)
    )
    assert len(eager) > 0
    np.testing.assert_array_equal(eager.categories, compiled.categories)
    np.testing.assert_allclose(eager.scores, compiled.scores, atol=1e-5)
    np.testing.assert_allclose(eager.boxes_norm, compiled.boxes_norm, atol=1e-5)
    np.testing.assert_allclose(eager.mask_probs.astype(int), compiled.mask_probs, atol=1)


def test_a_description_holds_the_architecture_and_neither_sampling_nor_inference(
    make_network: Callable[..., MaskRCNN], small_params: Callable[..., Params], tmp_path: Path
) -> None:
    save_network(make_network(), small_params().model, NAMES, tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    assert set(description) == {"schema", "model", "categories"}
    assert description["schema"] == SCHEMA
    assert "pretrained" not in description["model"]
    text = json.dumps(description["model"])
    assert not any(name in text for name in ("score_threshold", "max_detections", "rois_per_image"))


def test_a_finished_model_takes_new_inference_settings_and_its_folder_stays_as_it_was(
    make_network: Callable[..., MaskRCNN], small_params: Callable[..., Params], tmp_path: Path
) -> None:
    params = small_params()
    save_network(make_network(), params.model, NAMES, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    images = {
        "images": np.zeros((1, params.model.image_size, params.model.image_size, 3), np.uint8),
        "windows": np.array([[0, 0, 64, 64]], np.float32),
    }
    for count in (3, 7):
        network = load_network(tmp_path, changed(params.inference, max_detections=count)).network
        assert network.predict_on_batch(images)["scores"].shape == (1, count)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": SCHEMA + 1}, f"expected schema 1 to {SCHEMA}, got {SCHEMA + 1}; update fashionseg"),
        ({"schema": "two"}, "expected schema"),
        ({"model": {}}, "model.architecture: missing"),
        ({"categories": 3}, "not a model description"),
    ],
)
def test_a_description_that_cannot_be_read_is_one_line(
    make_network: Callable[..., MaskRCNN],
    small_params: Callable[..., Params],
    tmp_path: Path,
    change: dict,
    message: str,
) -> None:
    save_network(make_network(), small_params().model, NAMES, tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message) as fault:
        read_description(tmp_path)
    assert "\n" not in str(fault.value)
