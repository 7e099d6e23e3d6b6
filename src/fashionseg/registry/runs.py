"""The pipeline run that a trained model came from."""

from __future__ import annotations

from pathlib import Path

from fashionseg import tracking
from fashionseg.params import Params
from fashionseg.registry.candidate import Candidate
from fashionseg.tracking.identity import journal_folder
from fashionseg.tracking.journal import Journal, stored_journals


def journal_of(candidate: Candidate, params: Params) -> Journal:
    """The latest journal with exactly the candidate's scores.

    A clone that pulled the model has none: there one is written, from the histories and scores that came with it.
    """
    found = _find(candidate)
    if found is None:
        with tracking.stage_run("register", params) as run:
            run.log_histories(Path("models/heads/history.csv"), candidate.model / "history.csv")
            run.log_metrics(candidate.metrics)
        found = _find(candidate)
    assert found is not None
    return found


def _find(candidate: Candidate) -> Journal | None:
    matching = [one for one in stored_journals(journal_folder()) if _scores(one) == candidate.metrics]
    return max(matching, key=lambda journal: journal.path.stat().st_mtime_ns, default=None)


def _scores(journal: Journal) -> dict[str, float]:
    """The final figures."""
    scores: dict[str, float] = {}
    for record in journal.records():
        if record["kind"] == "metrics" and record["step"] == 0:
            scores |= record["values"]
    return scores
