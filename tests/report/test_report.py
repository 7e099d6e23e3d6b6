"""The report page and its pictures: complete, self-contained, honest about synthetic photos, reproducible."""

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
from fashionseg.history import join_histories
from fashionseg.report.figures import Line, curve_figure, history_figure, losses_figure, svg_bytes
from fashionseg.report.html import number_text
from fashionseg.report.page import Report, write_report
from fashionseg.report.pictures import Comparison, write_pictures
from fashionseg.taxonomy import competition_taxonomy
from fashionseg.visualize import OutlinedInstance


def comparison(image_id: str, note: str = "") -> Comparison:
    photo = np.full((60, 40, 3), 128, np.uint8)
    dress = OutlinedInstance.from_mask(10, np.ones((60, 40), bool))
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
        pictures=write_pictures(
            tmp_path / "pictures", [comparison("a.jpg", "score 0.5")], competition_taxonomy()
        ),
    )


def page_of(report: Report, tmp_path: Path) -> str:
    write_report(tmp_path / "report.html", report)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


class BalanceChecker(HTMLParser):
    """Fails on a tag closed in the wrong order."""

    VOID = frozenset({"meta", "img"})

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
    def test_page_needs_no_other_resource(self, report: Report, tmp_path: Path):
        page = page_of(report, tmp_path)
        assert not re.search(r"https?:|<script|<link|@import|url\(", page)
        assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)', page))

    def test_every_tag_is_closed(self, report: Report, tmp_path: Path):
        checker = BalanceChecker()
        checker.feed(page_of(report, tmp_path))
        assert checker.open == []

    def test_synthetic_photos_are_declared(self, report: Report, tmp_path: Path):
        assert "drawn by code, not real" in page_of(report, tmp_path)

    @pytest.mark.parametrize("source", ["folder", "kaggle"])
    def test_real_photos_are_not_declared_synthetic(self, report: Report, tmp_path: Path, source: str):
        assert "drawn" not in page_of(dataclasses.replace(report, source=source), tmp_path)

    def test_every_figure_is_shown(self, report: Report, tmp_path: Path):
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

    def test_the_score_is_shown_with_its_interval(self, report: Report, tmp_path: Path):
        metrics = {"competition_score": 0.2194, "competition_score_interval": [0.1969, 0.2401]}
        page = page_of(dataclasses.replace(report, metrics=metrics), tmp_path)
        assert "<b>0.219</b><span>competition score (0.197 to 0.240)</span>" in page

    def test_a_missing_figure_is_a_dash(self, report: Report, tmp_path: Path):
        metrics = {"competition_score": None}
        assert "<b>\N{EN DASH}</b>" in page_of(dataclasses.replace(report, metrics=metrics), tmp_path)

    def test_text_from_data_is_escaped(self, report: Report, tmp_path: Path):
        page = page_of(report, tmp_path)
        assert "odd&lt;key" in page
        assert "mask &lt;vanished&gt;" in page

    def test_the_best_epoch_is_counted_over_both_stages(self, report: Report, tmp_path: Path):
        assert "best epoch 4." in page_of(report, tmp_path)

    def test_pictures_are_embedded(self, report: Report, tmp_path: Path):
        page = page_of(report, tmp_path)
        assert page.count("data:image/jpeg;base64,") == 1
        assert "a.jpg · score 0.5" in page
        assert "No pictures requested" in page_of(dataclasses.replace(report, pictures=[]), tmp_path)

    def test_plots_are_embedded(self, report: Report, tmp_path: Path):
        Image.new("RGB", (4, 4)).save(tmp_path / "precision_recall.png")
        page = page_of(dataclasses.replace(report, figures=[tmp_path / "precision_recall.png"]), tmp_path)
        assert "<figcaption>precision recall</figcaption>" in page
        assert page.count("data:image/png;base64,") == 1

    def test_long_fault_lists_are_truncated_and_counted(self, report: Report, tmp_path: Path):
        fault = {"file": "train.csv", "reason": "empty", "outcome": "dropped"}
        many = dataclasses.replace(report, decode_report={"counts": {}, "faults": [fault] * 53})
        assert "and 3 more in data/decoded/report.json" in page_of(many, tmp_path)

    def test_absence_of_faults_is_reported(self, report: Report, tmp_path: Path):
        clean = dataclasses.replace(report, decode_report={"counts": {"rows": 4}, "faults": []})
        assert "Nothing was dropped or repaired." in page_of(clean, tmp_path)

    def test_the_same_run_gives_the_same_bytes(self, report: Report, tmp_path: Path):
        assert page_of(report, tmp_path) == page_of(report, tmp_path)

    def test_a_missing_history_is_named(self, report: Report, tmp_path: Path):
        (report.heads / "history.csv").unlink()
        with pytest.raises(UserError, match=r"heads/history\.csv: no such file"):
            write_report(tmp_path / "report.html", report)


class TestCharts:
    def test_the_same_curves_give_the_same_bytes(self):
        lines = [Line("loss", {1: 1.0, 2: 0.5}, "#000000")]
        assert svg_bytes(curve_figure(lines)) == svg_bytes(curve_figure(lines))

    def test_a_gap_breaks_the_line(self):
        """A whole line is one move and two strokes; around a gap there are two moves and no stroke."""

        def path_of(points: dict[int, float]) -> str:
            svg = svg_bytes(curve_figure([Line("loss", points, "#123456")])).decode()
            paths = re.findall(r'<path d="([^"]*)"[^>]*style="[^"]*stroke: #123456', svg)
            return max(paths, key=len)

        whole, broken = path_of({1: 1.0, 2: 1.5, 3: 2.0}), path_of({1: 1.0, 2: np.nan, 3: 2.0, 4: 1.0})
        assert (whole.count("M"), whole.count("L")) == (1, 2)
        assert (broken.count("M"), broken.count("L")) == (2, 1)

    def test_epochs_on_the_axis_are_whole(self):
        axes = curve_figure([Line("loss", {1: 1.0, 2: 0.5}, "#000000")]).axes[0]
        assert all(tick == int(tick) for tick in axes.get_xticks())

    @pytest.mark.parametrize("points", [{1: 1.0}, {1: np.nan}, {}])
    def test_one_point_or_none_is_drawn(self, points: dict[int, float]):
        assert svg_bytes(curve_figure([Line("loss", points, "#000000")])).startswith(b"<?xml")

    def test_stage_boundary_and_best_epoch_are_marked(self, report: Report):
        """Two epochs of heads: the boundary is at 2.5; the best epoch is 4."""
        history = join_histories(report.heads, report.finetuned)
        (axes,) = history_figure(history, "loss").axes
        training, validation, boundary, best = axes.get_lines()
        assert (training.get_label(), validation.get_label()) == ("training", "validation")
        assert (boundary.get_xdata()[0], best.get_xdata()[0]) == (2.5, 4)

    def test_every_loss_of_the_history_has_its_axes(self, report: Report):
        history = join_histories(report.heads, report.finetuned)
        assert [axes.get_title() for axes in losses_figure(history).axes] == ["loss"]

    def test_the_validation_score_is_drawn_where_it_chose_the_epoch(self, report: Report):
        """By the second stage only: the first is a gap."""
        path = report.finetuned / "history.csv"
        header, *rows = path.read_text().splitlines()
        scored = [f"{row},{score}" for row, score in zip(rows, (0.1, 0.3, 0.2), strict=True)]
        path.write_text("\n".join([f"{header},val_score", *scored]) + "\n")
        history = join_histories(report.heads, report.finetuned)
        assert history.losses == ["loss"]
        assert [axes.get_title() for axes in losses_figure(history).axes[:2]] == ["loss", "val_score"]
        (axes,) = history_figure(history, "val_score").axes
        validation, _, best = axes.get_lines()
        assert validation.get_label() == "validation"
        np.testing.assert_array_equal(validation.get_ydata(), [np.nan, np.nan, 0.1, 0.3, 0.2])
        assert best.get_xdata()[0] == 4


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
            ("dress", "dress"),
        ],
    )
    def test_numbers(self, value: object, text: str):
        assert number_text(value) == text

    def test_no_thresholds(self, report: Report, tmp_path: Path):
        assert '<p class="quiet">none</p>' in page_of(dataclasses.replace(report, thresholds={}), tmp_path)

    def test_bars_belong_to_fractions_only(self, report: Report, tmp_path: Path):
        table = pd.DataFrame({"category": [1], "truths": [1], "mask_ap": [0.25], "box_ap": [np.nan]})
        page = page_of(dataclasses.replace(report, categories=table), tmp_path)
        assert page.count('class="bar"') == 1
        assert "width:25%" in page

    def test_tables_of_the_error_analysis_are_shown_under_their_titles(self, report: Report, tmp_path: Path):
        assert "Error analysis" not in page_of(report, tmp_path)
        tables = {
            "TIDE <errors>": pd.DataFrame({"error": ["missed"], "delta_ap": [0.125]}),
            "suspects": pd.DataFrame(columns=["image_id"]),
        }
        page = page_of(dataclasses.replace(report, tables=tables), tmp_path)
        assert page.index("<h2>Error analysis</h2>") < page.index("<h3>TIDE &lt;errors&gt;</h3>")
        assert "missed" in page and "0.125" in page
        assert re.search(r'<h3>suspects</h3>\s*<p class="quiet">none</p>', page)


class TestPictures:
    def test_files_are_numbered_in_order(self, tmp_path: Path):
        pictures = write_pictures(
            tmp_path / "pictures",
            [comparison("b.jpg"), comparison("a b/c.jpg", "score 1")],
            competition_taxonomy(),
        )
        assert [picture.path.name for picture in pictures] == ["01_b.png", "02_c.png"]
        assert [picture.title for picture in pictures] == ["b.jpg", "a b/c.jpg · score 1"]
        assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == ["01_b.png", "02_c.png"]
        for picture in pictures:
            with Image.open(picture.path) as image:
                assert image.height >= 640

    def test_old_pictures_are_removed(self, tmp_path: Path):
        write_pictures(
            tmp_path / "pictures", [comparison("old.jpg"), comparison("older.jpg")], competition_taxonomy()
        )
        write_pictures(tmp_path / "pictures", [], competition_taxonomy())
        assert list((tmp_path / "pictures").iterdir()) == []

    def test_photos_are_consumed_one_at_a_time(self, tmp_path: Path):
        taken: list[str] = []

        def comparisons() -> Iterator[Comparison]:
            for name in ("a", "b"):
                files = list(tmp_path.glob(".pictures*/*.png"))
                assert len(files) == len(taken)
                taken.append(name)
                yield comparison(name)

        assert len(write_pictures(tmp_path / "pictures", comparisons(), competition_taxonomy())) == 2

    def test_unsafe_characters_of_a_name_are_replaced(self, tmp_path: Path):
        (picture,) = write_pictures(
            tmp_path / "pictures", [comparison("../a:b*é.jpg")], competition_taxonomy()
        )
        assert picture.path.name == "01_a_b__.png"
