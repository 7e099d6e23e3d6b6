"""The competition's score of any submission against any csv in train.csv's form.

Truth masks are resized to 512 x 512 as by cv2's nearest neighbour; masks without a pixel there are skipped and counted.
Rows of the placeholder (`1 1`, class 23) count as predictions, as they would in the competition. A photo of the truth
without a row in the submission is scored as a photo without predictions; photos missing from the truth are skipped.
Both are counted in the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from fashionseg.data.rle import parse_rle, repair_rle, resize_runs
from fashionseg.detections.bit_masks import FRAME, BitMask, from_runs
from fashionseg.errors import UserError
from fashionseg.metrics.competition import (
    Label,
    PhotoMatches,
    competition_scores,
    match_photo,
    match_table,
)
from fashionseg.parallel import map_photos
from fashionseg.prepare.annotations import parse_size, repair_class_id
from fashionseg.prepare.csv_index import Layout, Span, index_annotations, read_rows
from fashionseg.submission.check import check_index
from fashionseg.submission.read import index_submission
from fashionseg.taxonomy import Taxonomy, competition_taxonomy, format_class_id

Work = tuple[tuple[Span, ...], tuple[Span, ...]]  # rows of a photo in the truth and in the submission


@dataclass(frozen=True)
class SubmissionScore:
    """The scores by level, and counts."""

    label: Label
    scores: dict[str, float]
    num_photos: int
    num_truths: int
    num_predictions: int
    photos_missing: int
    photos_ignored: int
    truths_vanished: int

    def to_dict(self) -> dict[str, object]:
        """For JSON: `image_category`, `image`, `pooled`, then the label and the counts."""
        values = asdict(self)
        return {**values.pop("scores"), **values}


def score_submission(
    truth: Path, submission: Path, label: Label, taxonomy: Taxonomy | None = None
) -> SubmissionScore:
    """The score of a file.

    Args:
        taxonomy: of both files; None: the competition's.

    Raises:
        UserError: a file is missing or malformed, a row of the truth is unusable, the submission has a fault that
            the competition would refuse, or the two files have no photo in common.
    """
    taxonomy = taxonomy or competition_taxonomy()
    truth_index = index_annotations(truth)
    if fault := next((fault for fault in truth_index.faults if fault.outcome != "ignored"), None):
        raise UserError(f"{truth}: {fault}")
    if not truth_index.photos:
        raise UserError(f"{truth}: expected rows, got none")
    index = index_submission(submission)
    if faults := check_index(index, taxonomy=taxonomy):
        more = f" ({len(faults)} faults; see `fashionseg check-submission`)" if len(faults) > 1 else ""
        raise UserError(f"{submission}: {faults[0]}{more}")
    photos = sorted(truth_index.photos)
    found = [photo for photo in photos if photo in index.photos]
    if not found:
        raise UserError(f"{submission}: expected photos of {truth} such as {photos[0]!r}, found none")
    work: list[Work] = [(truth_index.photos[photo], index.photos.get(photo, ())) for photo in photos]
    results = map_photos(
        partial(
            _match_rows,
            truth=truth_index.layout,
            submission=index.layout,
            label=label,
            taxonomy=taxonomy,
        ),
        work,
        "score",
    )
    table = match_table([matches for matches, _ in results])
    num_predictions, num_truths = table.counts[:, :2].sum(axis=0).tolist()
    return SubmissionScore(
        label=label,
        scores=competition_scores(table),
        num_photos=len(photos),
        num_truths=num_truths,
        num_predictions=num_predictions,
        photos_missing=len(photos) - len(found),
        photos_ignored=len(index.photos) - len(found),
        truths_vanished=sum(vanished for _, vanished in results),
    )


def _match_rows(
    work: Work, truth: Layout, submission: Layout, label: Label, taxonomy: Taxonomy
) -> tuple[PhotoMatches, int]:
    """The matches of one photo, and the number of its truths without a pixel at 512 x 512."""
    truth_spans, spans = work
    truth_labels, truth_masks, vanished = _read_truths(truth, truth_spans, label, taxonomy)
    labels, masks = [], []
    for row in read_rows(submission, spans):
        labels.append(row.class_id.split("_")[0] if label == "category" else row.class_id)
        runs = parse_rle(row.encoded_pixels, *FRAME) if row.encoded_pixels else np.zeros((0, 2), np.int32)
        masks.append(from_runs(runs))
    return match_photo(labels, masks, truth_labels, truth_masks), vanished


def _read_truths(
    layout: Layout, spans: Sequence[Span], label: Label, taxonomy: Taxonomy
) -> tuple[list[str], list[BitMask], int]:
    """Labels and masks of one photo, and the number of masks without a pixel at 512 x 512."""
    labels, masks, vanished = [], [], 0
    for row in read_rows(layout, spans):
        try:
            hw = parse_size(row)
            category, attributes, _ = repair_class_id(row.class_id, taxonomy)
            runs = repair_rle(row.encoded_pixels, *hw)  # as the stage `decode` reads them
        except ValueError as error:
            raise UserError(f"{layout.path}: row {row.line}: {error}") from None
        mask = from_runs(resize_runs(runs, hw, FRAME, centre=False))
        if mask.area == 0:
            vanished += 1
            continue
        labels.append(format_class_id(category, () if label == "category" else attributes))
        masks.append(mask)
    return labels, masks, vanished
