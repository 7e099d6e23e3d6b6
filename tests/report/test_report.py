"""The report page and its pictures: whole, self-contained, honest about drawn photos, the same bytes each time."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fashionseg.errors import UserError
from fashionseg.report import Comparison, Report, write_pictures, write_report
from fashionseg.report.charts import Line, epoch_ticks, line_chart, nice_ticks
from fashionseg.report.history import read_history
from fashionseg.report.tables import category_table, figure, figure_table
from fashionseg.visualize import Instance


def comparison(image_id: str, note: str = "") -> Comparison:
    photo = np.full((60, 40, 3), 128, np.uint8)
    dress = Instance.from_mask(10, np.ones((60, 40), bool))
    return Comparison(image_id, photo, [dress], [], note)


def write_stage(directory: Path, rows: list[str], summary: str | None = None) -> Path:
    directory.mkdir(parents=True)
    text = "epoch,stage,loss,val_loss,learning_rate\n" + "".join(f"{row}\n" for row in rows)
    (directory / "history.csv").write_text(text)
    if summary is not None:
        (directory / "summary.json").write_text(summary)
    return directory


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Two epochs of heads, three of all layers; the second of those was the best."""
    return Report(
        source="sample",
        metrics={"competition_score": 0.4123, "coco": {"mask": {"ap": 0.3, "ap50": 0.58}}, "odd<key": None},
        thresholds={"score": 0.6, "nms": 0.4, "mask": 0.5, "min_area": 50},
        categories=pd.DataFrame(
            {
                "category": [0, 10],
                "name": ["shirt, blouse", "dress"],
                "truths": [12, 3],
                "mask_ap": [0.25, np.nan],
            }
        ),
        heads=write_stage(tmp_path / "heads", ["1,heads,3,3.5,0.001", "2,heads,2.5,3,0.001"]),
        finetuned=write_stage(
            tmp_path / "finetuned",
            ["3,finetune,2,2.5,1e-4", "4,finetune,1.5,2,1e-4", "5,finetune,1,2.2,1e-4"],
            '{"best_epoch": 4}',
        ),
        decode_report={
            "counts": {"rows": 2042, "train_photos": 400},
            "faults": [{"file": "train.csv", "row": 7, "reason": "mask <vanished>", "outcome": "dropped"}],
        },
        pictures=write_pictures(tmp_path / "pictures", [comparison("a.jpg", "score 0.5")]),
    )


def page_of(report: Report, tmp_path: Path) -> str:
    write_report(tmp_path / "report.html", report)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


class BalanceChecker(HTMLParser):
    """Fails on a tag closed out of turn."""

    VOID = frozenset({"meta", "img", "path", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


class TestPage:
    def test_nothing_comes_from_outside(self, report: Report, tmp_path: Path):
        page = page_of(report, tmp_path)
        assert not re.search(r"https?:|<script|<link|@import|url\(", page)
        assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)', page))

    def test_every_tag_is_closed(self, report: Report, tmp_path: Path):
        checker = BalanceChecker()
        checker.feed(page_of(report, tmp_path))
        assert checker.open == []

    def test_drawn_photos_are_called_drawn(self, report: Report, tmp_path: Path):
        assert "drawn by code, not real" in page_of(report, tmp_path)

    @pytest.mark.parametrize("source", ["folder", "kaggle"])
    def test_real_photos_are_not(self, report: Report, tmp_path: Path, source: str):
        assert "drawn" not in page_of(dataclasses.replace(report, source=source), tmp_path)

    def test_every_figure_is_there(self, report: Report, tmp_path: Path):
        page = page_of(report, tmp_path)
        for expected in (
            "0.412",
            "coco.mask.ap50",
            "0.580",
            "min_area",
            "0.600",
            "2\N{THIN SPACE}042",
            "shirt, blouse",
        ):
            assert expected in page

    def test_a_figure_that_could_not_be_computed_is_a_dash(self, report: Report, tmp_path: Path):
        metrics = {"competition_score": None}
        assert "<b>\N{EN DASH}</b>" in page_of(dataclasses.replace(report, metrics=metrics), tmp_path)

    def test_words_from_data_are_escaped(self, report: Report, tmp_path: Path):
        page = page_of(report, tmp_path)
        assert "odd&lt;key" in page
        assert "mask &lt;vanished&gt;" in page

    def test_the_best_epoch_is_counted_over_both_stages(self, report: Report, tmp_path: Path):
        assert "best epoch 4." in page_of(report, tmp_path)

    def test_pictures_are_in_the_page(self, report: Report, tmp_path: Path):
        page = page_of(report, tmp_path)
        assert page.count("data:image/jpeg;base64,") == 1
        assert "a.jpg · score 0.5" in page
        assert "no pictures asked for" in page_of(dataclasses.replace(report, pictures=[]), tmp_path)

    def test_figures_are_in_the_page(self, report: Report, tmp_path: Path):
        Image.new("RGB", (4, 4)).save(tmp_path / "precision_recall.png")
        page = page_of(dataclasses.replace(report, figures=[tmp_path / "precision_recall.png"]), tmp_path)
        assert "<figcaption>precision recall</figcaption>" in page
        assert page.count("data:image/png;base64,") == 1

    def test_many_faults_are_cut_short_and_counted(self, report: Report, tmp_path: Path):
        fault = {"file": "train.csv", "reason": "empty", "outcome": "dropped"}
        many = dataclasses.replace(report, decode_report={"counts": {}, "faults": [fault] * 53})
        assert "and 3 more in data/decoded/report.json" in page_of(many, tmp_path)

    def test_no_faults_are_told_too(self, report: Report, tmp_path: Path):
        clean = dataclasses.replace(report, decode_report={"counts": {"rows": 4}, "faults": []})
        assert "Nothing was dropped or repaired." in page_of(clean, tmp_path)

    def test_the_same_run_gives_the_same_bytes(self, report: Report, tmp_path: Path):
        assert page_of(report, tmp_path) == page_of(report, tmp_path)

    def test_a_missing_history_is_named(self, report: Report, tmp_path: Path):
        (report.heads / "history.csv").unlink()
        with pytest.raises(UserError, match=r"heads/history\.csv: no such file"):
            write_report(tmp_path / "report.html", report)


class TestHistory:
    def test_epochs_count_on_over_stages(self, report: Report):
        history = read_history(report.heads, report.finetuned)
        assert history.stages == (("heads", 2), ("finetuned", 5))
        assert history.values["loss"] == [3, 2.5, 2, 1.5, 1]
        assert history.best_epoch == 4

    def test_a_stage_that_counts_from_one_is_counted_on(self, report: Report, tmp_path: Path):
        second = write_stage(tmp_path / "again", ["1,b,1,2,1", "2,b,1,1,1"], '{"best_epoch": 2}')
        assert read_history(report.heads, second).best_epoch == 4

    def test_without_a_summary_the_lowest_validation_loss_is_the_best(self, report: Report):
        (report.finetuned / "summary.json").unlink()
        assert read_history(report.heads, report.finetuned).best_epoch == 4

    def test_a_diverged_loss_is_a_gap(self, tmp_path: Path):
        directory = write_stage(tmp_path / "run", ["1,run,3,nan,1", "2,run,inf,,1", "3,run,1,nan,1"])
        history = read_history(directory)
        assert history.values["loss"] == [3, None, 1]
        assert history.values["val_loss"] == [None, None, None]
        assert history.best_epoch is None


class TestCharts:
    @pytest.mark.parametrize(
        ("low", "high", "ticks"),
        [
            (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
            (0, 3.1, [0, 1, 2, 3, 4]),
            (0, 0.001, [0, 0.0002, 0.0004, 0.0006, 0.0008, 0.001]),
            (-1, 1, [-1, -0.5, 0, 0.5, 1]),
            (0, 0, [0, 0.2]),
        ],
    )
    def test_ticks_are_round_and_enclose(self, low: float, high: float, ticks: list[float]):
        assert nice_ticks(low, high) == ticks

    @pytest.mark.parametrize(
        ("epochs", "ticks"),
        [
            (1, [1]),
            (3, [1, 2, 3]),
            (10, [1, 2, 4, 6, 8, 10]),
            (22, [1, 5, 10, 15, 22]),
            (25, [1, 5, 10, 15, 20, 25]),
        ],
    )
    def test_the_last_epoch_has_a_tick(self, epochs: int, ticks: list[int]):
        assert epoch_ticks(epochs) == ticks

    def test_a_gap_breaks_the_line(self):
        chart = line_chart([Line("loss", [1.0, None, 2.0], "training")], "loss")
        path = re.search(r'<path class="training" d="([^"]*)"', chart)
        assert path is not None
        assert path[1].count("M") == 2
        assert "L" not in path[1]
        assert chart.count("<circle") == 2

    def test_one_epoch_is_a_point_in_the_middle(self):
        """44 units at the left and 10 at the right of 360 leave 306: the middle is 44 + 153."""
        assert 'cx="197.0"' in line_chart([Line("loss", [1.0], "training")], "loss")

    def test_nothing_recorded_is_said(self):
        assert "nothing recorded" in line_chart([Line("loss", [None, None], "training")], "loss")
        assert "nothing recorded" in line_chart([], "loss")


class TestTables:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (0.41236, "0.412"),
            (12345, "12\N{THIN SPACE}345"),
            (12345.6, "12\N{THIN SPACE}346"),
            (None, "\N{EN DASH}"),
            (float("nan"), "\N{EN DASH}"),
            (True, "True"),
            ([0.5, 1], "0.500, 1"),
            ("<b>", "&lt;b&gt;"),
        ],
    )
    def test_figures(self, value: object, text: str):
        assert figure(value) == text

    def test_no_figures(self):
        assert "none" in figure_table({})

    def test_bars_belong_to_fractions_only(self):
        table = category_table(
            pd.DataFrame({"category": [1], "truths": [1], "mask_ap": [0.25], "box_ap": [np.nan]})
        )
        assert table.count("class=bar") == 1
        assert "width:25%" in table


class TestPictures:
    def test_files_are_numbered_in_order(self, tmp_path: Path):
        pictures = write_pictures(
            tmp_path / "pictures", [comparison("b.jpg"), comparison("a b/c.jpg", "score 1")]
        )
        assert [picture.path.name for picture in pictures] == ["01_b.png", "02_c.png"]
        assert [picture.title for picture in pictures] == ["b.jpg", "a b/c.jpg · score 1"]
        assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == ["01_b.png", "02_c.png"]
        for picture in pictures:
            with Image.open(picture.path) as image:
                assert image.height >= 640

    def test_old_pictures_go(self, tmp_path: Path):
        write_pictures(tmp_path / "pictures", [comparison("old.jpg"), comparison("older.jpg")])
        write_pictures(tmp_path / "pictures", [])
        assert list((tmp_path / "pictures").iterdir()) == []

    def test_photos_are_taken_one_at_a_time(self, tmp_path: Path):
        taken: list[str] = []

        def comparisons() -> Iterator[Comparison]:
            for name in ("a", "b"):
                files = list(tmp_path.glob(".pictures*/*.png"))
                assert len(files) == len(taken)
                taken.append(name)
                yield comparison(name)

        assert len(write_pictures(tmp_path / "pictures", comparisons())) == 2

    def test_a_strange_name_is_made_harmless(self, tmp_path: Path):
        (picture,) = write_pictures(tmp_path / "pictures", [comparison("../a:b*é.jpg")])
        assert picture.path.name == "01_a_b__.png"
