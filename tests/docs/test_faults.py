"""The fault tables: read from markers, complete, and all on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.docs.faults import Case, fault_table, read_cases

from fashionseg.errors import UserError

# Rows of the tables when they were still typed by hand.
ROWS_OF_THE_TYPED_TABLES = 81


def write(tests: Path, name: str, *decorators: str) -> None:
    """A test file with one test under each of `decorators`."""
    body = "".join(f"{line}\ndef test_{number}():\n    pass\n\n" for number, line in enumerate(decorators))
    (tests / name).write_text(f"import pytest\n\n{body}")


def test_cases_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    write(
        tmp_path,
        "test_b.py",
        '@pytest.mark.fault(table="disk", case="full", outcome="one line")',
        '@pytest.mark.fault(table="net", case="dead", outcome="a line")',
    )
    write(tmp_path, "test_a.py", '@pytest.mark.fault(table="disk", case="slow", outcome="waits")')
    assert read_cases(tmp_path) == {
        "disk": [
            Case("slow", "waits", ["test_a.py::test_0"]),
            Case("full", "one line", ["test_b.py::test_0"]),
        ],
        "net": [Case("dead", "a line", ["test_b.py::test_1"])],
    }


def test_a_case_is_held_by_several_tests_and_a_test_holds_several_cases(tmp_path: Path) -> None:
    write(
        tmp_path,
        "test_a.py",
        '@pytest.mark.fault(table="disk", case="full")\n@pytest.mark.parametrize("x", [1])',
        '@pytest.mark.fault(table="disk", case="full", outcome="one line")\n'
        '@pytest.mark.fault(table="disk", case="slow", outcome="waits")',
    )
    assert read_cases(tmp_path)["disk"] == [
        Case("full", "one line", ["test_a.py::test_0", "test_a.py::test_1"]),
        Case("slow", "waits", ["test_a.py::test_1"]),
    ]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('fault(table="disk", case="full")', "no marker of the case 'full' states its outcome"),
        ('fault(table="disk", outcome="one line")', "expected fault"),
        ('fault(table="disk", case="full", outcome="one line", test="x")', "expected fault"),
        ('fault("disk", case="full", outcome="one line")', "expected fault"),
        ('fault(table="disk", case="full", outcome=TEXT)', "expected literal text for outcome"),
    ],
)
def test_a_malformed_marker_is_refused(tmp_path: Path, marker: str, message: str) -> None:
    write(tmp_path, "test_a.py", f"@pytest.mark.{marker}")
    with pytest.raises(UserError, match=message):
        read_cases(tmp_path)


def test_two_outcomes_of_a_case_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "test_a.py", *['@pytest.mark.fault(table="disk", case="full", outcome="one line")'] * 2)
    with pytest.raises(
        UserError, match=r"test_a\.py::test_1: the outcome of 'full' is also in test_a\.py::test_0"
    ):
        read_cases(tmp_path)


def test_a_table_without_tests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected tests marked fault"):
        fault_table(tmp_path, "disk")


def test_a_row_has_case_outcome_and_tests(tmp_path: Path) -> None:
    write(tmp_path, "test_a.py", '@pytest.mark.fault(table="disk", case="a | b", outcome="one line")')
    assert fault_table(tmp_path, "disk").splitlines()[2] == (
        r"| a \| b | one line | <code>test&#95;<wbr>a.<wbr>py::<wbr>test&#95;<wbr>0</code> |"
    )


def test_no_row_of_the_typed_tables_is_lost(repo: Path) -> None:
    assert sum(map(len, read_cases(repo / "tests").values())) >= ROWS_OF_THE_TYPED_TABLES


def test_each_table_stands_on_the_page_once(repo: Path) -> None:
    page = (repo / "docs" / "faults.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"<!-- generated: faults ([\w-]+) -->", page)) == sorted(
        read_cases(repo / "tests")
    )
