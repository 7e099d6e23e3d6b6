"""The tables of commands and of speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tools.docs.commands_page import commands_table
from tools.docs.hook import as_site_page, fill_in
from tools.docs.speed import speed_table

from fashionseg.errors import UserError


def test_make_targets_are_those_of_the_makefile(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(
        "repro: $(STAMP)  ## run it\n\trun\nlock:\n\nclean:  ## remove | all\n"
    )
    assert commands_table(tmp_path, "make").splitlines()[2:] == [
        "| <code>make repro</code> | run it |",
        r"| <code>make clean</code> | remove \| all |",
    ]


def test_fashionseg_commands_show_their_usage(repo: Path) -> None:
    rows = commands_table(repo, "fashionseg").splitlines()
    assert any(row.startswith("| <code>fashionseg predict [--weights DIR]") for row in rows)


def test_fab_tasks_show_flags_and_first_line(tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote" / "tasks.py").write_text(
        "def helper():\n    pass\n\n"
        "def dgx_fetch(context, stages: str = '', no_models: bool = False):\n"
        '    """Bring the results back.\n\n    More.\n    """\n'
    )
    assert commands_table(tmp_path, "fab").splitlines()[2:] == [
        "| <code>fab dgx-fetch [--stages VALUE] [--no-models]</code> | Bring the results back. |"
    ]


def test_every_measurement_is_a_row(tmp_path: Path) -> None:
    rows = [
        {"name": "masks", "value": 0.1834, "unit": "ms", "target": "≤ 0.4 ms", "met": True, "note": "of 3"},
        {
            "name": "loader",
            "value": 123.4,
            "unit": "photos/s",
            "target": "≥ 200 photos/s",
            "met": False,
            "note": "",
        },
        {"name": "shown", "value": 2.0, "unit": "x", "target": None, "met": None, "note": ""},
    ]
    path = tmp_path / "bench.json"
    path.write_text(json.dumps({"date": "2026-01-02", "machine": "2 cores", "rows": rows}))
    assert speed_table(path).splitlines() == [
        "2026-01-02, 2 cores: 1 of 2 targets met.",
        "",
        "| what | measured | target | met | note |",
        "| --- | --- | --- | --- | --- |",
        "| masks | 0.183 ms | ≤ 0.4 ms | yes | of 3 |",
        "| loader | 123 photos/s | ≥ 200 photos/s | **no** |  |",
        "| shown | 2 x |  |  |  |",
    ]


def test_the_committed_measurements_make_a_table(repo: Path) -> None:
    path = repo / "docs" / "data" / "bench.json"
    assert speed_table(path).count("\n| ") == 2 + len(json.loads(path.read_text(encoding="utf-8"))["rows"])


def test_an_unknown_table_is_refused(repo: Path) -> None:
    with pytest.raises(UserError, match="expected commands, faults, params or speed, got weather"):
        fill_in("text\n<!-- generated: weather -->\n", repo)


def test_links_of_a_top_level_file_are_links_of_the_site() -> None:
    text = "[a](docs/design.md#the-model), [b](CHANGELOG.md), [c](#rules)"
    assert as_site_page(text) == "[a](design.md#the-model), [b](changelog.md), [c](#rules)"
