"""The pipeline run that a trained model came from."""

from __future__ import annotations

from pathlib import Path

from fashionseg.params import Params
from fashionseg.registry.candidate import Candidate
from fashionseg.tracking.cached import final_scores
from fashionseg.tracking.identity import identify, journal_folder, tracked_params
from fashionseg.tracking.journal import Journal, stored_journals
from fashionseg.tracking.stage_run import log_outputs


def journal_of(candidate: Candidate, params: Params) -> Journal:
    """The latest journal with exactly the candidate's scores.

    A clone that pulled the model has none: there one is written, from the histories and scores that came with it.
    """
    found = _find(candidate)
    if found is None:
        log_outputs(Path(), params, identify(tracked_params(params)))
        found = _find(candidate)
    assert found is not None
    return found


def _find(candidate: Candidate) -> Journal | None:
    matching = [one for one in stored_journals(journal_folder()) if final_scores(one) == candidate.metrics]
    return max(matching, key=lambda journal: journal.path.stat().st_mtime_ns, default=None)
