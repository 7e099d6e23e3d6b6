"""Tables of what happens when something is broken, read from the markers on the tests that prove it.

    @pytest.mark.fault(table="photos", case="CMYK, grayscale", outcome="converted to RGB, repaired")
    def test_...

A case may be held by several tests: one of them states the outcome, the others name the case alone. A test may carry
several markers. The files are parsed, not imported, so the tables need none of the packages that the tests need.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fashionseg.errors import UserError
from tools.docs.markdown import code, table

_KEYS = {"table", "case", "outcome"}


@dataclass
class Case:
    """A row: what is broken, what happens, and the tests (`file::name` below tests/) that hold it."""

    name: str
    outcome: str | None = None
    tests: list[str] = field(default_factory=list)


def read_cases(tests: Path) -> dict[str, list[Case]]:
    """Table name -> its cases, in the order of files and lines.

    Raises:
        UserError: a marker is malformed, or a case has no outcome or two.
    """
    tables: dict[str, dict[str, Case]] = {}
    for path in sorted(tests.rglob("test_*.py")):
        for test, values in _markers(path):
            place = f"{path.relative_to(tests).as_posix()}::{test}"
            case = tables.setdefault(values["table"], {}).setdefault(values["case"], Case(values["case"]))
            if "outcome" in values:
                if case.outcome is not None:
                    raise UserError(f"{place}: the outcome of {case.name!r} is also in {case.tests[0]}")
                case.outcome = values["outcome"]
            case.tests.append(place)
    for cases in tables.values():
        for case in cases.values():
            if case.outcome is None:
                raise UserError(f"{case.tests[0]}: no marker of the case {case.name!r} states its outcome")
    return {name: list(cases.values()) for name, cases in tables.items()}


def fault_table(tests: Path, name: str) -> str:
    """The Markdown table `name`.

    Raises:
        UserError: no test carries a marker of that table.
    """
    cases = read_cases(tests).get(name)
    if not cases:
        raise UserError(f"{tests}: expected tests marked fault(table={name!r}), found none")
    rows = [(case.name, case.outcome or "", "<br>".join(map(code, case.tests))) for case in cases]
    return table(("what is broken", "what happens", "held by the test"), rows)


def _markers(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(test, keywords) of each `pytest.mark.fault` in a file."""
    text = path.read_text(encoding="utf-8")
    if "mark.fault" not in text:
        return
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fault":
                yield node.name, _keywords(decorator, f"{path.name}:{decorator.lineno}")


def _keywords(call: ast.Call, place: str) -> dict[str, str]:
    values = {}
    for keyword in call.keywords:
        if not (isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str)):
            raise UserError(
                f"{place}: expected literal text for {keyword.arg}, got {ast.unparse(keyword.value)}"
            )
        values[str(keyword.arg)] = keyword.value.value
    if call.args or not {"table", "case"} <= set(values) <= _KEYS:
        raise UserError(f"{place}: expected fault(table=..., case=..., outcome=...), got {ast.unparse(call)}")
    return values
