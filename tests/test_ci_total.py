"""The line that CI prints for several pytest runs together."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

SUITE = '<testsuites><testsuite errors="{}" failures="{}" skipped="{}" tests="{}" time="{}"/></testsuites>'


@pytest.fixture
def total(repo: Path) -> Callable[[list[str]], int]:
    return runpy.run_path(str(repo / ".ci" / "total.py"))["main"]


def test_counts_of_all_runs_are_added(
    total: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.xml").write_text(SUITE.format(0, 0, 2, 10, 1.5))
    (tmp_path / "b.xml").write_text(SUITE.format(0, 0, 1, 4, 2.25))
    assert total([str(tmp_path / name) for name in ("a.xml", "b.xml")]) == 0
    assert capsys.readouterr().out == "==== 11 passed, 3 skipped in 3.75s ====\n"


def test_one_failed_run_fails_the_total(
    total: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.xml").write_text(SUITE.format(1, 2, 0, 10, 1))
    (tmp_path / "b.xml").write_text(SUITE.format(0, 0, 0, 1, 1))
    assert total([str(tmp_path / name) for name in ("a.xml", "b.xml")]) == 1
    assert capsys.readouterr().out == "==== 2 failed, 8 passed, 1 error in 2.00s ====\n"


def test_run_without_results_fails_the_total(
    total: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.xml").write_text(SUITE.format(0, 0, 0, 1, 1))
    assert total([str(tmp_path / name) for name in ("a.xml", "b.xml")]) == 1
    assert capsys.readouterr().out == "==== 1 passed, 1 error in 1.00s ====\n"
