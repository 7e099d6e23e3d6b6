"""What the pyramid, the heads and the training need of a backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from fashionseg.model.backbones import Backbone, build_backbone
from fashionseg.model.backbones.load import load_backbone_weights
from fashionseg.model.backbones.resnet import BLOCKS_PER_STAGE
from fashionseg.model.layers import BATCH_NORM_EPSILON, BatchNorm, find_layer
from fashionseg.model.mask_rcnn import MaskRCNN
from fashionseg.sources.imagenet import CHECKPOINTS, efficientnet_checkpoint, efficientnet_weights
from fashionseg.storage.backbone_weights import write_backbone_weights

WIDTH = 4


def build(name: str, size: int = 64) -> Backbone:
    return build_backbone(name, size, WIDTH, BatchNorm(False, 0.9))


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        *((name, (4 * WIDTH, 8 * WIDTH, 16 * WIDTH, 32 * WIDTH)) for name in BLOCKS_PER_STAGE),
        ("efficientnet_lite0", (24, 40, 112, 320)),
        ("efficientnet_lite2", (24, 48, 120, 352)),
    ],
)
def test_c2_to_c5_have_strides_4_to_32_and_the_channels_of_the_family(
    name: str, channels: tuple[int, ...]
) -> None:
    """64 pixels; a ResNet has 4 to 32 times its width, an EfficientNet-Lite channels of its own."""
    network = build(name).network
    assert [feature.shape for feature in network.outputs] == [
        (None, side, side, count) for side, count in zip((16, 8, 4, 2), channels, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "depth"), [("resnet14", 14), ("resnet26", 26), ("resnet50", 50), ("resnet101", 101)]
)
def test_a_resnet_has_as_many_layers_as_its_name_says(name: str, depth: int) -> None:
    """The stem, three convolutions a block, and the classifier that a detector does without; shortcuts do not count."""
    assert 2 + 3 * sum(BLOCKS_PER_STAGE[name]) == depth


def test_the_stem_of_an_efficientnet_is_padded_as_tensorflow_does() -> None:
    """64 pixels, 3 x 3, stride 2: one row below and none above, so the middle of the first window is pixel (1, 1).

    With one row on each side, as PyTorch's padding=1 has, it would be pixel (0, 0).
    """
    backbone = build("efficientnet_lite0")
    kernel = np.zeros((3, 3, 3, 32), np.float32)
    kernel[1, 1, 0, 0] = 1
    find_layer(backbone.network, "stem_conv").kernel.assign(kernel)
    images = np.zeros((1, 64, 64, 3), np.float32)
    images[0, 1, 1, 0], images[0, 63, 63, 0] = 2, 3
    stem = np.asarray(keras.Model(backbone.network.input, backbone.stem)(images))[0, :, :, 0]
    assert (stem > 0).sum() == 2
    expected = np.array([2, 3]) / np.sqrt(1 + BATCH_NORM_EPSILON)
    np.testing.assert_allclose([stem[0, 0], stem[31, 31]], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "mean", "scale"), [("efficientnet_lite0", 127.0, 128.0), ("resnet14", None, 1)]
)
def test_images_are_scaled_as_the_backbone_expects(
    make_network: Callable[..., MaskRCNN], name: str, mean: float | None, scale: float
) -> None:
    network = make_network({"model.backbone.name": name})
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    scaled = (images.astype(np.float32) - (mean or np.float32([123.7, 116.8, 103.9]))) / scale
    for level, expected in zip(
        network.pyramid(images), network.fpn(network.backbone(scaled, training=False)), strict=True
    ):
        np.testing.assert_allclose(np.asarray(level), np.asarray(expected), rtol=1e-4, atol=1e-5)


def test_pixel_mean_of_the_parameters_takes_precedence(make_network: Callable[..., MaskRCNN]) -> None:
    network = make_network({"model.pixel_mean": (1.0, 2.0, 3.0)})
    np.testing.assert_array_equal(network.pixel_mean, [1, 2, 3])


# On the pattern below, at its first and its last cell: the first and the last three channels; then the mean magnitude.
# From the package efficientnet-lite-pytorch 0.1.0 on PyTorch 2.13 (CPU), with the checkpoints of the locked packages.
PYTORCH_FEATURES = {
    "efficientnet_lite0": [
        ((-24.864, -24.891, 13.486), (2.464, 8.791, -4.623), 9.0116),
        ((6.014, -4.6, 15.894), (5.276, -5.068, -3.527), 7.2294),
        ((6.096, -5.84, 11.766), (-0.401, 1.326, 4.325), 5.2106),
        ((1.359, -5.722, 3.321), (6.674, -1.844, -0.823), 2.408),
    ],
    "efficientnet_lite2": [
        ((18.959, -12.759, 6.42), (-21.52, 6.954, -19.227), 10.1703),
        ((13.88, -16.731, 16.244), (0.702, -5.43, 12.458), 7.8279),
        ((3.392, 5.126, 3.166), (10.261, 0.35, 6.578), 5.5627),
        ((0.13, -3.073, -0.394), (-0.071, 0.523, -5.302), 2.1031),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_features_are_those_of_the_pytorch_implementation(name: str, tmp_path: Path) -> None:
    """C2 to C5 with ImageNet weights, 64 pixels; on photos the two differ by less than 4e-4 of up to 50."""
    path = tmp_path / "weights.h5"
    write_backbone_weights(path, name, efficientnet_weights(efficientnet_checkpoint(name)))
    backbone = build(name)
    load_backbone_weights(backbone.network, path)
    pattern = np.arange(64 * 64 * 3, dtype=np.int64) ** 2 // 97 % 256
    images = pattern.reshape(1, 64, 64, 3).astype(np.float32)
    maps = backbone.network((images - np.float32(backbone.pixel_mean)) * backbone.pixel_scale, training=False)
    for feature, (first, last, magnitude) in zip(maps, PYTORCH_FEATURES[name], strict=True):
        cells = np.asarray(feature)[0]
        np.testing.assert_allclose(cells[0, 0, :3], first, atol=1e-3)
        np.testing.assert_allclose(cells[-1, -1, -3:], last, atol=1e-3)
        np.testing.assert_allclose(np.abs(cells).mean(), magnitude, atol=1e-4)
