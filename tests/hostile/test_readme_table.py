"""The README's tables of what happens when something is broken name tests; they are there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

REPO = Path(__file__).parents[2]
NAMED = re.compile(r"`(?:tests/)?([\w/]+\.py)::(\w+)`")


@cache
def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def section() -> str:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    return text.split("\n## When something is broken\n")[1].split("\n## ")[0]


def test_every_test_of_the_tables_exists() -> None:
    named = NAMED.findall(section())
    assert len(named) > 40
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (REPO / "tests" / file).is_file() or test not in names_in(REPO / "tests" / file)
    ]
    assert missing == []


def test_every_row_of_bad_input_has_an_outcome_and_a_test() -> None:
    table = section().split("### Bad input")[1].split("\n### ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert rows
    assert [row for row in rows if len(row.split("|")) != 5 or not NAMED.search(row)] == []
