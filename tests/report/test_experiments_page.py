"""The page that compares runs."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from PIL import Image

from fashionseg.cli import main
from fashionseg.errors import UserError
from fashionseg.report.experiments import differing_params, read_runs, shared_pictures
from fashionseg.report.experiments_page import COLOURS, write_comparison
from fashionseg.tracking.journal import Journal


def write_run(folder: Path, name: str, rate: float, score: float, photos: tuple[str, ...]) -> None:
    journal = Journal(folder / name)
    params = {"seed": 1, "train.heads.learning_rate": rate}
    journal.append(
        "run", key=name, name=name, experiment="fashionseg", params=params, tags={"git.commit": "0123456789"}
    )
    for epoch in (1, 2):
        journal.append(
            "metrics", stage="finetune", step=epoch, values={"loss": 1 / epoch, "val_loss": 2 / epoch}
        )
    journal.append(
        "metrics", stage="evaluate", step=0, values={"competition_score": score, "coco.mask.ap50": 0.5}
    )
    for number, photo in enumerate(photos, 1):
        picture = folder / "picture.png"
        Image.new("RGB", (8, 4), "red").save(picture)
        journal.add_file(picture, f"reports/pictures/{number:02d}_{photo}.png")


@pytest.fixture
def journals(project: Path) -> Path:
    folder = project / ".fashionseg" / "journal"
    folder.mkdir(parents=True)
    write_run(folder, "puffy-daks", 0.001, 0.25, ("dress", "coat"))
    write_run(folder, "sated-eyry", 0.003, 0.35, ("coat", "<hat>"))
    Journal(folder / "just-begun").append(
        "run", key="just-begun", name="just-begun", experiment="x", params={}, tags={}
    )
    return folder


def test_runs_are_read_best_first_and_empty_runs_are_skipped(journals: Path) -> None:
    runs = read_runs(journals)
    assert [run.name for run in runs] == ["sated-eyry", "puffy-daks"]
    assert runs[0].scores == {"competition_score": 0.35, "coco.mask.ap50": 0.5}
    assert runs[0].curves == {"loss": {1: 1.0, 2: 0.5}, "val_loss": {1: 2.0, 2: 1.0}}
    assert differing_params(runs) == ["train.heads.learning_rate"]
    assert shared_pictures(runs) == ["coat"]


def test_only_named_runs_are_read(journals: Path) -> None:
    assert [run.name for run in read_runs(journals, ["puffy-daks"])] == ["puffy-daks"]
    with pytest.raises(UserError, match="puffy: no such run; known runs: puffy-daks, sated-eyry"):
        read_runs(journals, ["puffy"])


def test_absence_of_runs_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no runs yet"):
        read_runs(tmp_path)


def test_the_page_shows_what_differs_and_needs_no_network(journals: Path, project: Path) -> None:
    assert main(["exp-report"]) == 0
    page = (project / "reports" / "experiments.html").read_text()
    assert "<th>train.heads.learning_rate</th>" in page
    assert "<th>seed</th>" not in page
    assert '<td class="number best">0.3500</td>' in page
    assert "0.300 ± 0.071" in page  # of 0.25 and 0.35: deviation 0.1 / sqrt(2)
    charts = [base64.b64decode(data).decode() for data in re.findall(r"svg\+xml;base64,([^\"]+)", page)]
    assert len(charts) == 2  # loss and val_loss, each with a line for both runs
    assert all(f"stroke: {colour}" in chart for chart in charts for colour in COLOURS[:2])
    assert page.count("data:image/jpeg;base64,") == 2  # the coat, twice
    assert re.findall(r'(?:src|href)="(?!data:)|url\(|<script|https?:', page) == []


def test_scores_are_shown_with_their_intervals(journals: Path, tmp_path: Path) -> None:
    write_run(journals, "other", 0.1, 0.219, ())
    bounds = {"competition_score_low": 0.1969, "competition_score_high": 0.2401}
    Journal(journals / "other").append("metrics", stage="evaluate", step=0, values=bounds)
    write_comparison(tmp_path / "page.html", read_runs(journals))
    page = (tmp_path / "page.html").read_text()
    assert '<td class="number">0.219 (0.197 to 0.240)</td>' in page
    assert '<td class="number best">0.3500</td>' in page  # a run without an interval


def test_names_are_escaped(journals: Path, tmp_path: Path) -> None:
    write_run(journals, "other", 0.1, 0.1, ("<hat>",))
    write_comparison(tmp_path / "page.html", read_runs(journals))
    page = (tmp_path / "page.html").read_text()
    assert "<h3>&lt;hat&gt;</h3>" in page


def test_one_run_is_shown_with_all_its_pictures(journals: Path, tmp_path: Path) -> None:
    write_comparison(tmp_path / "page.html", read_runs(journals, ["puffy-daks"]))
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2
    assert "No parameter differs." in page
