"""What goes to torchvision and comes back. Tests with tensors of PyTorch are skipped where it is not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tools.bench.torchvision_batches import (
    detections_of_photo,
    to_our_cells,
    torchvision_batch,
)

from fashionseg.detections.paste import find_taps, interpolate
from fashionseg.params import load_params

SIDE = 16


def make_batch() -> dict[str, np.ndarray]:
    """Two photos of 16 px; the first with one object in rows 2 to 5 and columns 4 to 11, the second empty."""
    masks = np.zeros((2, 3, 8, 8), np.uint8)
    masks[0, 0, :, :4] = 1  # its left half
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[0, 0] = [2, 4, 6, 12]
    classes = np.zeros((2, 3), np.int32)
    classes[0, 0] = 7
    images = np.zeros((2, SIDE, SIDE, 3), np.uint8)
    images[0, 2, 4] = [10, 20, 30]
    return {"images": images, "gt_classes": classes, "gt_boxes": boxes, "gt_masks": masks}


def test_a_batch_as_torchvision_takes_it() -> None:
    torch = pytest.importorskip("torch")
    images, targets = torchvision_batch(make_batch())
    assert images[0].shape == (3, SIDE, SIDE) and images[0].dtype == torch.uint8
    assert images[0][:, 2, 4].tolist() == [10, 20, 30]
    assert targets[0]["boxes"].tolist() == [[4, 2, 12, 6]]
    assert targets[0]["labels"].tolist() == [7] and targets[0]["labels"].dtype == torch.int64
    expected = np.zeros((SIDE, SIDE), np.uint8)
    expected[2:6, 4:8] = 1
    assert np.array_equal(targets[0]["masks"][0].numpy(), expected)
    assert targets[1]["boxes"].shape == (0, 4) and targets[1]["masks"].shape == (0, SIDE, SIDE)


def test_outputs_become_fractions_of_the_photo() -> None:
    # The photo fills columns 4 to 11 of the 16 px: a box of columns 6 to 10 is a quarter to three quarters of it.
    output = {
        "boxes": np.array([[6, 4, 10, 16], [0, 0, 16, 16]], np.float32),
        "labels": np.array([1, 46]),
        "scores": np.array([0.75, 0.5], np.float32),
        "masks": np.ones((2, 1, 28, 28), np.float32),
    }
    categories, scores, boxes, probs = detections_of_photo(output, np.array([0, 4, 16, 12], np.float32))
    assert categories.tolist() == [0, 45] and scores.tolist() == [0.75, 0.5]
    assert boxes.tolist() == [[0.25, 0.25, 1.0, 0.75], [0.0, 0.0, 1.0, 1.0]]
    assert probs.dtype == np.uint8 and (probs == 255).all()


def test_an_edge_in_a_mask_lands_where_torchvision_has_it() -> None:
    # A ramp over the box, 0 at its left and 1 at its right edge, in torchvision's cells; pasted into a box of 280
    # pixels, pixel x has (x + 0.5) / 280.
    ramp = np.tile((np.arange(28) + 0.5) / 28, (28, 1))[None].astype(np.float32)
    probs = np.round(to_our_cells(ramp)[0] * 255).astype(np.uint8)
    taps = find_taps(np.array([[0.0, 0.0, 1.0, 1.0]]), (280, 280), 28)
    columns = interpolate(probs, taps, 0).copy()
    expected = (np.arange(280) + 0.5) / 280
    assert np.abs(columns[:, 140] / 255 - expected)[5:-5].max() < 0.004
    # The control: without the change of grid the ramp is flatter, off by a hundredth of the box near its edges.
    unchanged = interpolate(np.round(ramp[0] * 255).astype(np.uint8), taps, 0)
    assert np.abs(unchanged[:, 140] / 255 - expected)[5:-5].max() > 0.006


def test_the_peer_has_the_numbers_of_the_model_section(repo: Path) -> None:
    pytest.importorskip("torchvision")
    from tools.bench.torchvision_peer import torchvision_network

    from fashionseg.params import changed

    params = changed(
        load_params(repo / "params.yaml"), {"model.backbone.name": "resnet14", "model.image_size": 96}
    )
    network = torchvision_network(params, "cpu")
    assert network.roi_heads.fg_bg_sampler.batch_size_per_image == params.sampling.rois_per_image
    assert network.roi_heads.fg_bg_sampler.positive_fraction == params.sampling.positive_fraction
    assert network.rpn.fg_bg_sampler.batch_size_per_image == params.sampling.anchors_per_image
    assert network.rpn.anchor_generator.num_anchors_per_location() == [3] * 5
    assert network.transform.min_size == (96,) and network.transform.max_size == 96


def test_a_step_of_the_peer_changes_its_weights(repo: Path) -> None:
    torch = pytest.importorskip("torch")
    from tools.bench.street_torchvision import TorchvisionTraining, adamw, predict
    from tools.bench.torchvision_peer import TorchvisionStep, torchvision_network

    from fashionseg.params import changed

    torch.manual_seed(0)
    params = changed(
        load_params(repo / "params.yaml"), {"model.backbone.name": "resnet14", "model.image_size": 64}
    )
    network = torchvision_network(params, "cpu", trains_batch_norm=True)
    step = TorchvisionStep(network, adamw(network), "cpu", clip_norm=5.0)
    before = [weight.detach().clone() for weight in step.weights]
    batch = {**make_batch(), "images": np.zeros((2, 64, 64, 3), np.uint8)}
    training = TorchvisionTraining(step, iter([torchvision_batch(batch)] * 2))
    assert np.isfinite(training.lap(2, 1e-3))
    assert {group["lr"] for group in step.optimizer.param_groups} == {1e-3}
    assert any(not torch.equal(a, b) for a, b in zip(before, step.weights, strict=True))
    inputs = {
        "images": batch["images"],
        "windows": np.array([[0, 0, 64, 64]] * 2, np.float32),
        "photo_index": np.array([0, -1], np.int32),
    }
    detections = predict(network, [inputs], ["a.jpg"], "cpu")
    assert detections.photos == ("a.jpg",)
    assert detections.mask_probs.shape[1:] == (28, 28)
