"""Scores read from metrics.json."""

from __future__ import annotations

from pathlib import Path

import pytest

from fashionseg.errors import UserError
from fashionseg.tracking.scores import read_scores


def test_read_scores_flattens_numbers_and_excludes_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(
        '{"competition_score": 0.25, "coco": {"ap@0.5": 1, "ap75": null}, "ok": true, "label": "x"}'
    )
    assert read_scores(path) == {"competition_score": 0.25, "coco.ap_0.5": 1.0}


def test_an_interval_is_two_numbers(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text('{"competition_score_interval": [0.2, 0.25], "odd_interval": [1], "pair": [1, 2]}')
    assert read_scores(path) == {"competition_score_low": 0.2, "competition_score_high": 0.25}


@pytest.mark.parametrize("text", ["", "[1]", '{"competition_score": 0.2'])
def test_malformed_metrics_are_a_one_line_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"^.*metrics\.json: [^\n]+; run `dvc repro`$"):
        read_scores(path)


def test_missing_metrics_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.json: no such file; run `dvc repro`$"):
        read_scores(tmp_path / "metrics.json")
