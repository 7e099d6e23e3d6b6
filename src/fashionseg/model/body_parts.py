"""Where the body's landmarks are, as features: maps added to the pyramid, or their geometry as an RoI sees it.

Both begin as nothing (the last weights are zeros), so a network with them begins as the one without.

B photos, S the side of the input, L the 33 landmarks of `fashionseg.data.poses`: y and x in pixels of the input, and
visibility; a photo without a person has visibility 0 everywhere and adds nothing.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from fashionseg.data.poses import MASK_SIDE, NUM_LANDMARKS
from fashionseg.ops.boxes import Tensor

GEOMETRY_SIZE = 3 * NUM_LANDMARKS
_SPREAD = 1 / 32  # standard deviation of a landmark's Gaussian, as part of S
_FAR = 3.0  # sides of an RoI: landmarks further away are all the same to it


class LandmarkMaps(keras.layers.Layer):
    """A Gaussian for each landmark, high as it is visible, and the person mask, projected to a pyramid level.

    Args:
        image_size: S in pixels.
        channels: of the pyramid.
    """

    def __init__(self, image_size: int, channels: int, name: str = "landmark_maps") -> None:
        super().__init__(name=name, dtype="float32")
        self.image_size = image_size
        self.projection = layers.Conv2D(
            channels,
            1,
            use_bias=False,
            kernel_initializer="zeros",
            name="landmark_projection",
            dtype="float32",
        )
        self.projection.build((None, None, None, NUM_LANDMARKS + 1))
        self.built = True

    def call(self, landmarks: Tensor, person_masks: Tensor, side: int) -> Tensor:
        """What is added to the level of `side` cells a side: [B, side, side, channels]."""
        return self.projection(self.maps(landmarks, person_masks, side))

    def maps(self, landmarks: Tensor, person_masks: Tensor, side: int) -> Tensor:
        """[B, side, side, 34], from 0 to 1: the value at a cell's centre, the share of its area for the mask."""
        stride = self.image_size / side
        centres = ((np.arange(side) + 0.5) * stride).astype(np.float32)
        # No narrower than a cell, or a coarse level would see a landmark only where it meets a centre.
        spread = max(_SPREAD * self.image_size, stride)
        along = ops.exp(-0.5 * ops.square((landmarks[:, :, :2, None] - centres) / spread))  # [B, L, 2, side]
        points = ops.einsum("bl,bly,blx->byxl", landmarks[..., 2], along[:, :, 0], along[:, :, 1])
        share = _shares(MASK_SIDE, side)
        persons = ops.einsum("yi,bij,xj->byx", share, ops.cast(person_masks, "float32") / 255.0, share)
        return ops.concatenate([points, persons[..., None]], axis=-1)


def _shares(n_in: int, n_out: int) -> np.ndarray:
    """[n_out, n_in]: the share of each input cell in an output cell of the same line, by area; rows sum to 1."""
    edges_in, edges_out = np.arange(n_in + 1) / n_in, np.arange(n_out + 1) / n_out
    low = np.maximum(edges_in[None, :-1], edges_out[:-1, None])
    high = np.minimum(edges_in[None, 1:], edges_out[1:, None])
    return (np.maximum(high - low, 0.0) * n_out).astype(np.float32)


def roi_geometry(rois_norm: Tensor, landmarks: Tensor, image_size: int) -> Tensor:
    """Where the landmarks lie as an RoI sees them.

    Args:
        rois_norm: [B, R, 4].
        landmarks: [B, 33, 3].
        image_size: S in pixels.

    Returns:
        [B, R, 99]: the distance of each landmark from the RoI's centre, down and right, in heights and widths of the
        RoI, times the visibility; and the visibility.
    """
    places = landmarks[:, None, :, :2] / (image_size - 1.0)  # [B, 1, L, 2]
    centres, sides = (rois_norm[..., :2] + rois_norm[..., 2:]) / 2.0, rois_norm[..., 2:] - rois_norm[..., :2]
    sides = ops.maximum(sides, 1.0 / image_size)  # padding has none
    offsets = ops.clip((places - centres[:, :, None]) / sides[:, :, None], -_FAR, _FAR)
    visibility = landmarks[:, None, :, 2:] * ops.ones_like(offsets[..., :1])
    return ops.reshape(
        ops.concatenate([offsets * visibility, visibility], axis=-1), (-1, offsets.shape[1], GEOMETRY_SIZE)
    )
