"""Training and validation photos: stratified over categories, near-duplicate photos on one side, seeded.

Photos are sorted, then shuffled with the seed, so that nothing depends on the order in which they were decoded.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashionseg.errors import UserError
from fashionseg.prepare.near_duplicates import near_duplicate_groups


@dataclass(frozen=True)
class PhotoSplit:
    """Image ids of both sides, each sorted; `groups` gives each photo (in sorted order) the number of its group of
    near-duplicate photos.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    groups: NDArray[np.int64]


def split_photos(
    image_ids: Sequence[str],
    dhashes: NDArray[np.uint64],
    presence: NDArray[np.bool_],
    validation_fraction: float,
    near_duplicate_bits: int,
    seed: int,
    folds: int | None = None,
    fold: int = 0,
    given: Set[str] | None = None,
) -> PhotoSplit:
    """Splits N photos.

    Args:
        image_ids: [N], all different.
        dhashes: [N] difference hashes, see `near_duplicates.difference_hash`.
        presence: [N, K] whether a photo shows a category.
        validation_fraction: of the photos; without effect with `folds`.
        near_duplicate_bits: photos whose hashes differ in at most this many bits stay together; -1: off.
        folds: number of folds of a cross-validation, each photo being in exactly one; None: no cross-validation.
        fold: the fold that is the validation side, from 0.
        given: the validation side where the data says so; photos that are not among `image_ids` do not matter.

    Raises:
        UserError: one side would be empty.
    """
    order = np.argsort(np.array(image_ids))
    ids, dhashes, presence = np.array(image_ids)[order], dhashes[order], presence[order]
    groups = near_duplicate_groups(dhashes, near_duplicate_bits)
    if given is not None:
        in_given = np.array([image_id in given for image_id in ids.tolist()], bool)
        if in_given.all() or not in_given.any():
            raise UserError(
                f"split: the validation set of the data has {in_given.sum()} of {len(ids)} usable photos, "
                "which leaves one side empty"
            )
        return PhotoSplit(tuple(ids[~in_given].tolist()), tuple(ids[in_given].tolist()), groups)
    num_groups = int(groups.max()) + 1 if len(groups) else 0
    if num_groups < 2:
        raise UserError(
            f"split: expected at least 2 different photos, got {len(ids)} photos that are {num_groups}"
        )
    group_presence = np.zeros((num_groups, presence.shape[1]), np.int8)
    np.maximum.at(group_presence, groups, presence.astype(np.int8))
    shuffled = np.random.default_rng(seed).permutation(num_groups)
    in_validation = np.zeros(num_groups, bool)
    if folds is None:
        key, share = "split.validation_fraction", f"{validation_fraction:g} of {len(ids)} photos"
        rows = _stratified(group_presence[shuffled], validation_fraction, seed)
    else:
        key, share = "split.folds", f"{folds} folds of {num_groups} different photos"
        if num_groups < folds:
            raise UserError(f"{key}: expected at most as many folds as different photos, got {share}")
        rows = _stratified_fold(group_presence[shuffled], folds, fold, seed)
    in_validation[shuffled[rows]] = True
    validation = in_validation[groups]
    if validation.all() or not validation.any():
        raise UserError(f"{key}: {share} leaves one side empty")
    return PhotoSplit(tuple(ids[~validation].tolist()), tuple(ids[validation].tolist()), groups)


def summarize(split: PhotoSplit, image_ids: Sequence[str], categories: NDArray[np.integer]) -> dict[str, Any]:
    """Photos and instances on each side, by category; `image_ids` and `categories` are those of all instances."""
    validation = set(split.validation)
    on_validation = np.fromiter((image_id in validation for image_id in image_ids), bool, len(image_ids))
    sides = {"train": ~on_validation, "validation": on_validation}
    sizes = np.bincount(split.groups)
    return {
        "photos": {"train": len(split.train), "validation": len(split.validation)},
        "instances": {name: int(side.sum()) for name, side in sides.items()},
        "categories": [
            {"category": int(category)}
            | {name: int((side & (categories == category)).sum()) for name, side in sides.items()}
            for category in np.unique(categories)
        ],
        "near_duplicates": {
            "groups": int((sizes > 1).sum()),
            "photos": int(sizes[sizes > 1].sum()),
            "largest_group": int(sizes.max()),
        },
    }


def _stratified(presence: NDArray[np.int8], fraction: float, seed: int) -> NDArray[np.int64]:
    """Row numbers of the validation side (Sechidis et al. 2011, iterative stratification)."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    splitter = MultilabelStratifiedShuffleSplit(
        n_splits=1, test_size=fraction, train_size=1 - fraction, random_state=seed % 2**32
    )
    key = f"split.validation_fraction: {fraction:g} of {len(presence)} photos"
    return _validation_sides(splitter, presence, key)[0]


def _stratified_fold(presence: NDArray[np.int8], folds: int, fold: int, seed: int) -> NDArray[np.int64]:
    """Row numbers of one fold; all folds come from one assignment, so that they partition the rows."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

    splitter = MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed % 2**32)
    key = f"split.folds: {folds} folds of {len(presence)} different photos"
    return _validation_sides(splitter, presence, key)[fold]


def _validation_sides(splitter: Any, presence: NDArray[np.int8], key: str) -> list[NDArray[np.int64]]:
    try:
        return [validation for _, validation in splitter.split(np.zeros(len(presence)), presence)]
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{key}: {reason}") from None
