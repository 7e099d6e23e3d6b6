"""Imports among the modules of the package and of the tools, those in functions and for type checking included."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("folder", ["tools", "src/fashionseg"])
def test_modules_have_no_import_circle(repo: Path, folder: str) -> None:
    root = repo / folder
    names = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(root.rglob("*.py"))
    }
    graph = {name: (imported(path) & {*names}) - {name} for name, path in names.items()}
    order = list(TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert len(order) == len(names) > 10
