"""Which comparison each reference file gets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from fashionseg.errors import UserError
from tools.parity import (
    box_and_image_cases,
    inference_cases,
    layer_cases,
    loss_cases,
    training_cases,
)
from tools.parity.backend import exact_products
from tools.parity.reference import Reference
from tools.parity.table import Row, named

# The beginning of a file's name -> its comparison.
COMPARISONS: dict[str, Callable[[Reference, str], Iterator[Row]]] = {
    "layer_anchors_proposals": layer_cases.compare_anchors_and_proposals,
    "layer_roialign": layer_cases.compare_roi_align,
    "layer_detection": layer_cases.compare_detections,
    "layer_targets": layer_cases.compare_targets,
    "losses": loss_cases.compare,
    "utils": box_and_image_cases.compare,
    "infer_": inference_cases.compare,
    "train_": training_cases.compare,
}


def compare_all(reference: Reference, only: Collection[str] = ()) -> Iterator[Row]:
    """The rows of every file of `reference`, or of those named in `only`.

    Raises:
        UserError: no such file, or one that no comparison is known for.
    """
    exact_products()
    names = reference.names()
    missing = set(only) - set(names)
    if missing:
        raise UserError(f"{reference.directory}: no {', '.join(sorted(missing))} among {', '.join(names)}")
    for name in names:
        if not only or name in only:
            try:
                yield from named(_comparison(reference, name)(reference, name), name)
            except KeyError as error:
                raise UserError(f"{reference.directory / name}.npz: no array {error}") from None


def _comparison(reference: Reference, name: str) -> Callable[[Reference, str], Iterator[Row]]:
    for prefix, comparison in COMPARISONS.items():
        if name.startswith(prefix):
            return comparison
    raise UserError(
        f"{reference.directory / name}.npz: expected a name that starts with one of {', '.join(COMPARISONS)}"
    )
