"""The pipeline run that a trained model came from."""

from __future__ import annotations

from pathlib import Path

from fashionseg.params import Params
from fashionseg.registry.candidate import Candidate
from fashionseg.tracking.identity import identify, journal_folder, tracked_params
from fashionseg.tracking.journal import Journal, stored_journals
from fashionseg.tracking.scores import final_scores
from fashionseg.tracking.stage_run import log_outputs


def journal_of(candidate: Candidate, params: Params) -> Journal:
    """The latest journal with exactly the candidate's scores.

    A clone that pulled the model has no journal; one is written from the histories and scores pulled with the model.
    """
    found = _find(candidate)
    if found is None:
        log_outputs(Path(), params, identify(tracked_params(params)))
        found = _find(candidate)
    assert found is not None
    return found


def _find(candidate: Candidate) -> Journal | None:
    journals = stored_journals(journal_folder())
    matching = [journal for journal in journals if final_scores(journal) == candidate.metrics]
    return max(matching, key=lambda journal: journal.path.stat().st_mtime_ns, default=None)
