"""Ensemble: the stored detections of several runs fused into one set. No network runs.

The runs may differ in architecture, input size and seed; they have in common the photos and the frame of the
detections. What follows prediction is done again for the fused set: thresholds, scores, submission.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fashionseg.data.splits import read_groups
from fashionseg.data.truths import Truths, read_truths
from fashionseg.detections.fusion import fuse
from fashionseg.detections.photos import Photo, pair_photos
from fashionseg.detections.store import Detections, read_detections
from fashionseg.errors import UserError
from fashionseg.experiments.ensemble_weights import FittedWeights, fit_weights
from fashionseg.experiments.results import WORKSPACE, resolve_run
from fashionseg.metrics.calibration import assign_folds
from fashionseg.metrics.evaluate import Evaluation, evaluate_photos
from fashionseg.params import Evaluate
from fashionseg.taxonomy import Taxonomy
from fashionseg.tracking.outputs import output_at

PREDICTIONS = Path("data/predictions")
VALIDATION, TEST = "validation", "test"


@dataclass(frozen=True, eq=False)
class Member:
    """A run's detections.

    Attributes:
        validation, test: of all photos of the run.
    """

    name: str
    validation: Detections
    test: Detections


def read_member(root: Path, name: str) -> Member:
    """The detections of `workspace`, a folder (of a checkout or an ensemble), a DVC experiment or a Git revision.

    Raises:
        UserError: there is no such run, or it has no detections.
    """
    place = root if name == WORKSPACE else Path(name).expanduser()
    for folder in (place / PREDICTIONS, place / PREDICTIONS.name, place):
        if (folder / VALIDATION).is_dir():
            break
    else:
        commit = resolve_run(root, name)
        return Member(
            name,
            *(
                read_detections(output_at(root, commit, PREDICTIONS / side, name))
                for side in (VALIDATION, TEST)
            ),
        )
    return Member(name, read_detections(folder / VALIDATION), read_detections(folder / TEST))


def fuse_members(
    members: Sequence[Member], weights: Sequence[float], fitted: FittedWeights | None = None
) -> Member:
    """One member from several that `check_members` lets pass.

    Args:
        weights: of the members; equal if there are none.
        fitted: weights by category, instead.
    """
    validation, test = [member.validation for member in members], [member.test for member in members]
    return Member(
        " + ".join(member.name for member in members),
        fuse(validation, weights) if fitted is None else fitted.fuse_validation(validation),
        fuse(test, weights if fitted is None else fitted.final),
    )


def check_members(members: Sequence[Member], weights: Sequence[float]) -> None:
    """
    Raises:
        UserError: the members were run on different photos, have masks of different sides, or the weights do not fit.
    """
    first = members[0]
    if weights and (len(weights) != len(members) or min(weights) < 0.0 or not sum(weights) > 0.0):
        raise UserError(
            f"--weights: expected {len(members)} of at least 0, not all 0, got {' '.join(map(str, weights))}"
        )
    for other in members[1:]:
        for side, a, b in (
            (VALIDATION, first.validation, other.validation),
            (TEST, first.test, other.test),
        ):
            if a.photos != b.photos:
                raise UserError(
                    f"{other.name}: expected the {len(a.photos)} {side} photos of {first.name}, got "
                    f"{len(b.photos)} photos, {len(set(a.photos) & set(b.photos))} of them the same; "
                    "runs of one data set and split can be fused"
                )
            if a.mask_probs.shape[1:] != b.mask_probs.shape[1:]:
                raise UserError(
                    f"{other.name}: expected masks of side {a.mask_probs.shape[1]} as in {first.name}, got "
                    f"{b.mask_probs.shape[1]}; model.mask_head.pool_size must agree"
                )


def fit_member_weights(
    members: Sequence[Member], decoded: Path, splits: Path, settings: Evaluate, taxonomy: Taxonomy
) -> FittedWeights:
    """Weights of the members by category, fitted on the validation photos out of the folds of the calibration.

    Raises:
        UserError: as `evaluate_member`.
    """
    validation = [member.validation for member in members]
    truths = _read_truths(members[0], decoded)
    folds = assign_folds(read_groups(splits, validation[0].photos), settings.folds)
    return fit_weights(validation, truths, folds, taxonomy.category_names)


def evaluate_member(
    member: Member, decoded: Path, splits: Path, settings: Evaluate, taxonomy: Taxonomy
) -> tuple[list[Photo], Evaluation]:
    """The validation photos with their truths, and the evaluation with thresholds fitted to this member.

    Raises:
        UserError: the data is missing, or the member was validated on photos that are not in it.
    """
    photos = pair_photos(member.validation, _read_truths(member, decoded))
    return photos, evaluate_photos(photos, read_groups(splits, member.validation.photos), settings, taxonomy)


def _read_truths(member: Member, decoded: Path) -> Truths:
    ids = member.validation.photos
    try:
        truths = read_truths(decoded, ids)
    except (KeyError, ValueError):
        truths = None
    if truths is None or truths.photos != ids:
        raise UserError(
            f"{member.name}: {decoded} has not all of its {len(ids)} validation photos; it belongs to other data"
        )
    return truths
