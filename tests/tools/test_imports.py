"""Imports among the development tools, those inside functions and for type checking included."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_tools_have_no_import_circle(repo: Path) -> None:
    paths = sorted((repo / "tools").rglob("*.py"))
    names = [
        ".".join(path.relative_to(repo).with_suffix("").parts).removesuffix(".__init__") for path in paths
    ]
    graph = {name: (imported(path) & {*names}) - {name} for name, path in zip(names, paths, strict=True)}
    order = list(TopologicalSorter(graph).static_order())  # CycleError names the circle
    assert order.index("tools.bench.torchvision_peer") < order.index("tools.bench.gpu")
