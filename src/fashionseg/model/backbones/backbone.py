"""What every backbone gives to the pyramid, to the training and to the pretrained weights."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from fashionseg.ops.boxes import Tensor


@dataclass(frozen=True)
class Backbone:
    """A backbone and what it expects of its input.

    Attributes:
        network: scaled images [B, S, S, 3] -> C2 to C5, [B, S / stride, S / stride, channels], strides 4 to 32.
        stem: symbolic output of the layers before the first stage.
        pixel_mean: RGB, subtracted from the images.
        pixel_scale: the difference is multiplied by it.
    """

    network: keras.Model
    stem: Tensor
    pixel_mean: tuple[float, float, float]
    pixel_scale: float

    def layers_of_first(self, num_stages: int) -> list[keras.layers.Layer]:
        """Layers of the first stages: 0 is none, 1 the stem, 2 also what leads to C2, up to 5 for all of them."""
        if num_stages == 0:
            return []
        ends = [self.stem, *self.network.outputs]
        return keras.Model(self.network.inputs, ends[num_stages - 1]).layers
