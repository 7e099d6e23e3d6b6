"""Code dependencies of the stages in dvc.yaml, from the graph of imports.

A stage depends on every module that it imports, also inside functions. Where it uses most of a package the dependency
is the package, else the file. Modules without effect on outputs are no dependency: see `WITHOUT_EFFECT`.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

PACKAGE = "fashionseg"
SOURCE = Path("src")
PIPELINE = Path("dvc.yaml")

# A changed message, progress bar or write order must not retrain. The values of params.yaml are listed under `params:`
# of each stage, so the code that reads them (and its comments) is no dependency either.
WITHOUT_EFFECT = (
    "backend",  # imports TensorFlow quietly
    "console",
    "errors",
    "parallel",  # results do not depend on the number of processes
    "params",
    "project",
    "storage.atomic",
    "storage.disk",
    "storage.fingerprint",
    "storage.hdf5",  # of these two, checks and messages alone
    "storage.parquet",
    "tracking",
)
# A package is named as a whole from this share of its modules on.
MOST = 2 / 3


class ImportGraph:
    """Imports among the modules of the package below `source`."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.imports = cache(self._imports)

    def file(self, module: str) -> Path | None:
        """The file of a module or package of ours."""
        path = self.source / module.replace(".", "/")
        return next(
            (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None
        )

    def reached(self, module: str) -> set[str]:
        """The modules that run with `module`, itself included, without those that have no effect on outputs."""
        found: set[str] = set()
        waiting = [module]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [other for other in self.imports(name) if has_effect(other)]
        return found

    def _imports(self, module: str) -> frozenset[str]:
        """The modules of ours that `module` itself imports, each with the packages above it."""
        path = self.file(module)
        assert path is not None, f"{module}: no such module"
        found: set[str] = set()
        for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                found |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
        ours = {name for name in found if name.split(".")[0] == PACKAGE and self.file(name) is not None}
        return frozenset(
            ".".join(name.split(".")[:depth]) for name in ours for depth in range(1, name.count(".") + 2)
        )


def has_effect(module: str) -> bool:
    """Whether outputs may depend on a module's code."""
    inside = f"{module.partition('.')[2]}."
    return not any(inside.startswith(f"{name}.") for name in WITHOUT_EFFECT)


def code_deps(graph: ImportGraph, module: str) -> list[str]:
    """Paths of the code that the stage `module` depends on: its own file first, then packages and files by name."""
    files = {path for name in graph.reached(module) if (path := graph.file(name)) is not None}
    own = graph.file(module)
    assert own is not None
    deps: set[Path] = set()
    for path in files - {own}:
        folder = path.parent
        if folder == graph.source / PACKAGE or folder == own.parent:  # stages are never taken together
            deps |= {path} if path.stem != "__init__" else set()
        elif len(files & (modules := _modules(folder))) >= MOST * len(modules):
            deps.add(folder)
        elif path.stem != "__init__" or _statements_in(path):
            deps.add(path)
    deps = {path for path in deps if not deps & set(path.parents)}  # a package includes those below it
    root = graph.source.parent
    return [path.relative_to(root).as_posix() for path in [own, *sorted(deps)]]


def rewrite(text: str, graph: ImportGraph) -> str:
    """dvc.yaml with the code dependencies of every stage as they should be; data dependencies and comments stay."""
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    pipeline = yaml.load(text)
    for stage in pipeline["stages"].values():
        deps = stage.get("deps", [])
        data = [path for path in deps if not path.startswith(f"{graph.source.name}/")]
        wanted = [*code_deps(graph, stage_module(stage["cmd"])), *data]
        if list(deps) != wanted:
            comments = {deps[position]: comment for position, comment in deps.ca.items.items()}
            deps[:] = wanted
            deps.ca.items.clear()
            deps.ca.items.update(
                {wanted.index(path): comment for path, comment in comments.items() if path in wanted}
            )
    written = io.StringIO()
    yaml.dump(pipeline, written)
    return written.getvalue()


def stage_module(cmd: Any) -> str:
    """The module that a stage's command runs: `python -m MODULE ...`."""
    words = str(cmd).split()
    assert words[:2] == ["python", "-m"], f"{cmd}: expected `python -m MODULE`"
    return words[2]


def _modules(package: Path) -> set[Path]:
    return {path for path in package.glob("*.py") if path.stem != "__init__"}


def _statements_in(init: Path) -> bool:
    """Whether a package's __init__ does more than explain itself."""
    body = ast.parse(init.read_text(encoding="utf-8")).body
    return any(not isinstance(node, ast.Expr) for node in body)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below `node`, also inside functions (lazy imports), but not those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _statements(child)
