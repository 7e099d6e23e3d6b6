"""The smallest network behind the contract of `model/api.py`: a convolution, a dense layer, two losses, two detections.

It trains an epoch in a fraction of a second, so tests of the loop and of the stages take seconds. Its losses have names
of their own and counts that differ from photo to photo.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from fashionseg.model.api import LossTerm, Network, Phase
from fashionseg.ops.boxes import Tensor
from fashionseg.ops.noise import uniform_noise
from fashionseg.params import Inference, Model, Sampling, load_params

NAME = "toy"
_FEATURES, _NOISE = 4, 0.01
_MASK = 28


class ToyNetwork(Network):
    """Tells the first garment of a photo: its class, and its box as fractions of the input.

    Args:
        image_size: S.
        num_classes: categories and the background.
        score_threshold: detections below are padding.
    """

    loss_names = ("label_loss", "place_loss")

    def __init__(self, image_size: int, num_classes: int, score_threshold: float) -> None:
        super().__init__(name=NAME)
        self.image_size, self.score_threshold = image_size, score_threshold
        self.backbone = layers.Conv2D(_FEATURES, 3, strides=2, activation="relu", name="backbone")
        self.head = layers.Dense(num_classes + 4, name="head")
        self.backbone.build((None, image_size // 8, image_size // 8, 3))
        self.head.build((None, _FEATURES))
        self.built = True

    def loss_terms(self, batch: dict[str, Tensor], training: bool) -> dict[str, LossTerm]:
        """Cross-entropy over the photos, and the distance of the box over the photos with a garment."""
        logits, boxes_norm = self._outputs(batch["images"], batch["sampling_seeds"] if training else None)
        is_photo = ops.cast(batch["is_photo"], "float32")
        first = batch["gt_classes"][:, 0]
        entropy = -ops.take_along_axis(ops.log_softmax(logits), first[:, None], axis=1)[:, 0]
        distance = ops.mean(ops.abs(boxes_norm - batch["gt_boxes"][:, 0] / self.image_size), axis=1)
        has_garment = ops.where(first > 0, is_photo, 0.0)
        return {
            "label_loss": LossTerm(ops.sum(entropy * is_photo), ops.sum(is_photo)),
            # A NaN where nothing is counted stays out of the loss, though not out of the gradient.
            "place_loss": LossTerm(ops.sum(ops.where(has_garment > 0, distance, 0.0)), ops.sum(has_garment)),
        }

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """The two most likely garments, both in one box inside the window; masks fill it."""
        logits, boxes_norm = self._outputs(inputs["images"], None)
        scores, categories = ops.top_k(ops.softmax(logits)[:, 1:], k=2)
        is_kept = scores >= self.score_threshold
        windows = inputs["windows"]
        extent = ops.tile(windows[:, 2:] - windows[:, :2], (1, 2))
        boxes = ops.tile(windows[:, :2], (1, 2)) + boxes_norm * extent
        return {
            "boxes": ops.where(is_kept[..., None], boxes[:, None], 0.0),
            "classes": ops.where(is_kept, ops.cast(categories, "int32") + 1, 0),
            "scores": ops.where(is_kept, scores, 0.0),
            "masks": ops.where(is_kept[..., None, None], ops.ones((1, 1, _MASK, _MASK)), 0.0),
        }

    def set_phase(self, phase: Phase, frozen_stages: int = 0) -> None:
        """The backbone is one stage."""
        self.backbone.trainable = phase == "all" and frozen_stages == 0

    @property
    def backbone_variables(self) -> list[keras.Variable]:
        return self.backbone.trainable_variables

    def _outputs(self, images: Tensor, seeds: Tensor | None) -> tuple[Tensor, Tensor]:
        """Class logits [B, K] and boxes_norm [B, 4]; with noise from `seeds`, as training has."""
        small = ops.average_pool(ops.cast(images, "float32") / 255.0, 8, strides=8)
        features = ops.cast(ops.mean(self.backbone(small), axis=(1, 2)), "float32")
        if seeds is not None:
            features += _NOISE * uniform_noise(seeds, _FEATURES, 0)
        outputs = ops.cast(self.head(features), "float32")
        corners = ops.sigmoid(outputs[:, -4:])
        low = ops.minimum(corners[:, :2], corners[:, 2:])
        return outputs[:, :-4], ops.concatenate([0.5 * low, 0.5 + 0.5 * corners[:, 2:]], axis=1)


def build_toy(
    model: Model,
    num_categories: int,
    inference: Inference,
    sampling: Sampling | None = None,
    category_groups: Sequence[str] | None = None,
) -> ToyNetwork:
    """See `networks.build_network`."""
    return ToyNetwork(model.image_size, num_categories + 1, inference.score_threshold)


def make_toy(seed: int = 1, num_categories: int = 5, image_size: int = 64) -> ToyNetwork:
    """The network from a seed."""
    keras.utils.set_random_seed(seed)
    return ToyNetwork(image_size, num_categories + 1, load_params().inference.score_threshold)


def toy_batch(
    batch_size: int, seed: int, num_categories: int = 5, image_size: int = 64
) -> dict[str, np.ndarray]:
    """Random photos as the loader gives them; every third has no garment, so that counts differ."""
    random = np.random.default_rng(seed)
    corners = random.integers(0, image_size // 2, (batch_size, 1, 2))
    sizes = random.integers(8, image_size // 2, (batch_size, 1, 2))
    classes = random.integers(1, num_categories + 1, (batch_size, 1)).astype(np.int32)
    classes[::3] = 0
    boxes = np.concatenate([corners, corners + sizes], axis=2) * (classes > 0)[..., None]
    return {
        "images": random.integers(0, 256, (batch_size, image_size, image_size, 3), dtype=np.uint8),
        "gt_classes": classes,
        "gt_boxes": boxes.astype(np.float32),
        "gt_masks": np.ones((batch_size, 1, 56, 56), np.uint8),
        "sampling_seeds": np.arange(batch_size, dtype=np.uint32) + np.uint32(seed * batch_size),
        "photo_index": np.arange(batch_size, dtype=np.int32),
    }
