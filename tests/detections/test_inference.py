"""From the network's square input back to the photo, with a detector of known detections."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from fashionseg.detections.inference import Detector, load_detector, predict_photos
from fashionseg.errors import UserError
from fashionseg.params import Inference, load_params

if TYPE_CHECKING:
    from fashionseg.model.api import Network

SIDE = 64


def detector_that_finds(rows: list[list[float]], num_devices: int = 1) -> Detector:
    """Each photo gets `rows` of (y1, x1, y2, x2 in pixels of the input, class, score)."""

    def run(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert len(batch["images"]) % num_devices == 0
        output = np.zeros((len(batch["images"]), 5, 6), np.float32)
        output[:, : len(rows)] = np.reshape(rows, (-1, 6))
        return {
            "boxes": output[..., :4],
            "classes": output[..., 4].astype(np.int32),
            "scores": output[..., 5],
            "masks": np.full((len(output), 5, 28, 28), 0.5, np.float32),
        }

    network = cast("Network", SimpleNamespace(image_size=SIDE))
    return Detector(network, ("a", "b", "c"), run, num_devices)


def photos(*sizes: tuple[int, int]) -> list[tuple[str, np.ndarray]]:
    return [(f"{number}.jpg", np.zeros((*size, 3), np.uint8)) for number, size in enumerate(sizes)]


def test_box_of_the_whole_window_is_the_whole_photo() -> None:
    # 128 high and 64 wide: resized to 64 x 32, centred, so the window is columns 16 to 48.
    found = predict_photos(detector_that_finds([[0, 16, 64, 48, 2, 0.9]]), photos((128, 64)), batch_size=2)
    np.testing.assert_allclose(found.boxes_norm, [[0, 0, 1, 1]], atol=1e-6)
    assert found.categories.tolist() == [1]  # class 2 of the network is category 1
    assert found.scores.tolist() == pytest.approx([0.9])


def test_box_in_the_window_is_in_fractions_of_the_photo() -> None:
    # Rows 16 to 32 of 64 are a quarter to a half; columns 24 to 48 of the window 16 to 48 are a quarter to the end.
    found = predict_photos(detector_that_finds([[16, 24, 32, 48, 1, 0.9]]), photos((128, 64)), batch_size=2)
    np.testing.assert_allclose(found.boxes_norm, [[0.25, 0.25, 0.5, 1.0]], atol=1e-6)


@pytest.mark.parametrize("num_devices", [1, 4])
def test_padding_rows_and_padding_photos_are_ignored(num_devices: int) -> None:
    """Several devices take batches of a multiple of their number."""
    found = predict_photos(
        detector_that_finds([[0, 0, 32, 32, 1, 0.5], [0, 0, 16, 16, 3, 0.7]], num_devices),
        photos((64, 64), (32, 32), (64, 64)),
        batch_size=2,
    )
    assert found.photos == ("0.jpg", "1.jpg", "2.jpg")
    assert found.photo_index.tolist() == [0, 0, 1, 1, 2, 2]
    assert found.categories.tolist() == [2, 0] * 3  # by falling score


def test_probabilities_become_bytes() -> None:
    found = predict_photos(detector_that_finds([[0, 0, 32, 32, 1, 0.5]]), photos((64, 64)), batch_size=1)
    assert found.mask_probs.shape == (1, 28, 28)
    assert (found.mask_probs == 128).all()  # 0.5 * 255 = 127.5, half to even


def detector_of_two_masks(quality_exponent: float) -> Detector:
    """Scores 0.8 and 0.7; the first mask has probabilities 0.6 and below 0.5, the second 1 and 0.9 in equal parts."""
    masks = np.zeros((1, 3, 28, 28), np.float32)
    masks[0, 0, :14] = 0.6
    masks[0, 0, 14:] = 0.4
    masks[0, 1, :14] = 1.0
    masks[0, 1, 14:] = 0.9

    def run(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {
            "boxes": np.array([[[0, 0, 32, 32], [0, 0, 16, 16], [0, 0, 8, 8]]], np.float32),
            "classes": np.array([[1, 2, 3]], np.int32),
            "scores": np.array([[0.8, 0.7, 0.6]], np.float32),
            "masks": masks,  # the third has no pixel inside
        }

    network = cast("Network", SimpleNamespace(image_size=SIDE))
    return Detector(network, ("a", "b", "c"), run, 1, quality_exponent)


@pytest.mark.parametrize(
    ("exponent", "categories", "scores"),
    [
        (0.0, [0, 1, 2], [0.8, 0.7, 0.6]),
        (1.0, [1, 0, 2], [0.7 * 0.95, 0.8 * 0.6, 0.0]),
        (2.0, [1, 0, 2], [0.7 * 0.95**2, 0.8 * 0.6**2, 0.0]),
    ],
)
def test_scores_are_multiplied_by_a_power_of_the_mean_mask_probability(
    exponent: float, categories: list[int], scores: list[float]
) -> None:
    found = predict_photos(detector_of_two_masks(exponent), photos((64, 64)), batch_size=1)
    assert found.categories.tolist() == categories  # sorted again
    np.testing.assert_allclose(found.scores, scores, rtol=1e-6)
    assert found.scores.dtype == np.float32


def test_without_mask_quality_scores_keep_their_bits() -> None:
    found = predict_photos(detector_of_two_masks(0.0), photos((64, 64)), batch_size=1)
    assert found.scores.tobytes() == np.array([0.8, 0.7, 0.6], np.float32).tobytes()


def test_a_loaded_detector_has_exponent_and_flip_of_its_settings(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the stage predict, `fashionseg predict` and the server: all load it here."""
    from fashionseg.model import folder

    def load(folder: Path, settings: Inference, image_size: int | None) -> tuple:
        return SimpleNamespace(image_size=image_size or 320, takes_pose=False), None, ("a",)

    monkeypatch.setattr(folder, "load_network", load)
    settings = replace(
        load_params(repo / "params.yaml").inference, mask_quality=1.5, flip=True, scales=(0.8, 1.25)
    )
    detector = load_detector(Path("model"), settings)
    assert (detector.quality_exponent, detector.flips) == (1.5, True)
    assert list(detector.runs) == [320, 256, 384]  # multiples of 32


@pytest.mark.parametrize("scales", [(1.0,), (0.8, 0.81)])
def test_two_scales_of_the_same_input_size_are_refused(
    repo: Path, monkeypatch: pytest.MonkeyPatch, scales: tuple[float, ...]
) -> None:
    from fashionseg.model import folder

    monkeypatch.setattr(
        folder, "load_network", lambda *_, **__: (SimpleNamespace(image_size=320, takes_pose=False), None, ())
    )
    settings = replace(load_params(repo / "params.yaml").inference, scales=scales)
    shown = ", ".join(f"{scale:g} gives {320 if scale == 1.0 else 256}" for scale in scales)
    with pytest.raises(
        UserError, match=rf"^inference\.scales: expected sizes that differ .* and from 320; .* {shown}$"
    ):
        load_detector(Path("model"), settings)


def test_detections_at_all_input_sizes_are_fused() -> None:
    """At the larger size the stand-in is less sure, and finds an object that the smaller size does not show."""

    def run_at(size: int, scores: list[float]) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        def run(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            assert batch["images"].shape[1:] == (size, size, 3)
            boxes = np.array([[0.25, 0.25, 0.75, 0.5], [0.25, 0.6, 0.75, 0.9]], np.float32) * size
            count = len(batch["images"])
            return {
                "boxes": np.tile(boxes[None, : len(scores)], (count, 1, 1)),
                "classes": np.ones((count, len(scores)), np.int32),
                "scores": np.tile(np.array(scores, np.float32), (count, 1)),
                "masks": np.ones((count, len(scores), 28, 28), np.float32),
            }

        return run

    network = cast("Network", SimpleNamespace(image_size=SIDE))
    runs = {2 * SIDE: run_at(2 * SIDE, [0.6, 0.5])}
    detector = Detector(network, ("a",), run_at(SIDE, [0.8]), at_other_sizes=runs)
    found = predict_photos(detector, photos((64, 64), (64, 64), (64, 64)), batch_size=2)
    assert found.photos == ("0.jpg", "1.jpg", "2.jpg")
    for of_photo in found.of_photos():
        np.testing.assert_allclose(of_photo.scores, [0.7, 0.25], rtol=1e-6)
        np.testing.assert_allclose(
            of_photo.boxes_norm, [[0.25, 0.25, 0.75, 0.5], [0.25, 0.6, 0.75, 0.9]], rtol=1e-6
        )


def test_a_flipping_detector_finds_the_same_in_a_photo_and_its_mirror_image() -> None:
    """The stand-in finds the brightest column, 8 pixels wide; the photo is wide, so the square has padding."""

    def run(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        columns = batch["images"].astype(int).sum(axis=(1, 3)).argmax(axis=1)
        left = np.minimum(columns, SIDE - 8)
        top, bottom = batch["windows"][:, 0], batch["windows"][:, 2]
        masks = np.zeros((len(left), 1, 28, 28), np.float32)
        masks[:, 0, :, :4] = 1.0  # at the left, whatever the image shows
        return {
            "boxes": np.stack([top, left, bottom, left + 8.0], axis=1)[:, None].astype(np.float32),
            "classes": np.ones((len(left), 1), np.int32),
            "scores": np.full((len(left), 1), 0.5, np.float32),
            "masks": masks,
        }

    photo = np.zeros((32, 64, 3), np.uint8)
    photo[:, 16:24] = 200
    network = cast("Network", SimpleNamespace(image_size=SIDE))
    detector = Detector(network, ("a",), run, flips=True)
    found = predict_photos(detector, [("a", photo), ("b", photo[:, ::-1])], 2).of_photos()
    assert [len(each) for each in found] == [1, 1]
    np.testing.assert_allclose(
        found[0].boxes_norm[:, [1, 3]], 1.0 - found[1].boxes_norm[:, [3, 1]], atol=1e-6
    )
    assert (found[0].mask_probs == found[1].mask_probs[:, :, ::-1]).all()
    assert found[0].scores.tolist() == [0.5]


def test_a_photo_without_detections_is_still_a_photo() -> None:
    found = predict_photos(detector_that_finds([]), photos((64, 64)), batch_size=4)
    assert found.photos == ("0.jpg",)
    assert len(found) == 0


def test_no_photos_give_no_detections() -> None:
    found = predict_photos(detector_that_finds([]), [], batch_size=4)
    assert found.photos == ()
    assert len(found) == 0
