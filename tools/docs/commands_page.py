"""Tables of the commands: from the Makefile's comments, the command-line parsers and the Fabric tasks."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
from pathlib import Path

from fashionseg.cli import COMMANDS
from fashionseg.errors import UserError
from tools.docs.markdown import code, table

_TARGET = re.compile(r"^([a-z][a-z-]*):[^#\n]*## (.*)$", re.MULTILINE)


def commands_table(repo: Path, kind: str) -> str:
    """The table of `make` targets, `fashionseg` commands or `fab` tasks.

    Raises:
        UserError: another kind.
    """
    rows = {"make": make_targets, "fashionseg": fashionseg_commands, "fab": fab_tasks}.get(kind)
    if rows is None:
        raise UserError(f"commands: expected make, fashionseg or fab, got {kind}")
    return table(("you type", "what it does"), [(code(name), about) for name, about in rows(repo)])


def make_targets(repo: Path) -> list[tuple[str, str]]:
    """(`make NAME`, its comment) in the order of the Makefile."""
    text = (repo / "Makefile").read_text(encoding="utf-8")
    return [(f"make {name}", about) for name, about in _TARGET.findall(text)]


def fashionseg_commands(repo: Path) -> list[tuple[str, str]]:
    """(usage, help) of each sub-command."""
    del repo
    rows = []
    for name, about in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"fashionseg {name}", add_help=False)
        importlib.import_module(f"fashionseg.commands.{name.replace('-', '_')}").configure(parser)
        rows.append((" ".join(parser.format_usage().removeprefix("usage: ").split()), about))
    return rows


def fab_tasks(repo: Path) -> list[tuple[str, str]]:
    """(`fab dgx-NAME` with its flags, first line of its docstring)."""
    tree = ast.parse((repo / "remote" / "tasks.py").read_text(encoding="utf-8"))
    tasks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("dgx_")]
    return [(_with_flags(task), (ast.get_docstring(task) or "").splitlines()[0]) for task in tasks]


def _with_flags(task: ast.FunctionDef) -> str:
    flags = []
    for argument in task.args.args[1:]:
        name = f"--{argument.arg.replace('_', '-')}"
        is_switch = argument.annotation is not None and ast.unparse(argument.annotation) == "bool"
        flags.append(f"[{name}]" if is_switch else f"[{name} VALUE]")
    return " ".join([f"fab {task.name.replace('_', '-')}", *flags])
