"""Networks by the name of their architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fashionseg.errors import UserError
from fashionseg.model.api import Network
from fashionseg.model.build import build_cascade_mask_rcnn, build_mask_rcnn
from fashionseg.params import Inference, Model, Sampling

Builder = Callable[[Model, int, Inference, Sampling | None, Sequence[str] | None], Network]

ARCHITECTURES: dict[str, Builder] = {
    "mask_rcnn": build_mask_rcnn,
    "cascade_mask_rcnn": build_cascade_mask_rcnn,
}


def build_network(
    model: Model,
    num_categories: int,
    inference: Inference,
    sampling: Sampling | None = None,
    category_groups: Sequence[str] | None = None,
) -> Network:
    """The network that `model.architecture` names, initialised from Keras's global seed.

    Args:
        model, inference, sampling: sections of params.yaml; without `sampling` it has no losses.
        num_categories: without the background.
        category_groups: the supercategory of each category, for `sampling.label_smoothing`.

    Raises:
        UserError: no such architecture.
    """
    if model.architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UserError(f"model.architecture: expected one of {known}, got {model.architecture!r}")
    return ARCHITECTURES[model.architecture](model, num_categories, inference, sampling, category_groups)
