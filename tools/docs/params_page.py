"""Tables of params.yaml: types and ranges from the dataclasses, meanings from the comments in the file, values from the
presets, and the stages that a change makes stale from dvc.yaml."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from fashionseg.params import Params, flatten, read_yaml
from tools.docs.markdown import code, table

_NAMES = {int: "integer", float: "number", str: "text", NoneType: "`null`", bool: "`true` or `false`"}
_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_LINE = re.compile(r"( *)([A-Za-z_]\w*):(?:[^#]*?\s#\s*(.*)|.*)$")


def params_tables(repo: Path) -> str:
    """A section of Markdown for each section of params.yaml."""
    comments = read_comments((repo / "params.yaml").read_text(encoding="utf-8"))
    values = flatten(read_yaml(repo / "params.yaml"))
    presets = {path.stem: flatten(read_yaml(path)) for path in sorted((repo / "presets").glob("*.yaml"))}
    stages = read_yaml(repo / "dvc.yaml")["stages"]
    sections: dict[str, list[tuple[str, ...]]] = {}
    for key, kind in leaves(Params):
        row = (
            code(key),
            describe(kind),
            _value(key, values, presets),
            _meaning(key, comments),
            describe_stale(key, stages),
        )
        sections.setdefault(key.split(".")[0], []).append(row)
    header = ("key", "type and range", "value", "what it is", "a change runs")
    return "\n\n".join(
        "\n\n".join(
            filter(None, (f"## {name}", comments.get(name) if len(rows) > 1 else "", table(header, rows)))
        )
        for name, rows in sections.items()
    )


def _meaning(key: str, comments: dict[str, str]) -> str:
    """The comment of a key; without one, that of the component it belongs to."""
    return comments.get(key) or (comments.get(key.rpartition(".")[0], "") if key.count(".") > 1 else "")


def leaves(component: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, annotation) of each value of a params dataclass, in the order of its fields."""
    hints = get_type_hints(component, include_extras=True)
    for field in dataclasses.fields(component):
        kind, key = hints[field.name], prefix + field.name.removesuffix("_")  # `from_`, a keyword
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            yield from leaves(kind, f"{key}.")
        else:
            yield key, kind


def describe(kind: Any) -> str:
    """A type in words: `integer ≥ 1`, `sgd or adamw`, `list of numbers > 0`."""
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin is Annotated:
        return describe(arguments[0]) + _limits(arguments[1:])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is dict:
        return f"mapping of text to {describe(arguments[1])}"
    if origin is tuple:
        many = "list" if arguments[-1] is Ellipsis else f"list of {len(arguments)}"
        return f"{many}, each {describe(arguments[0])}"
    return _NAMES.get(kind) or str(kind)


def _limits(metadata: tuple[Any, ...]) -> str:
    """The constraints of pydantic's `Field`, in words: ` ≥ 1, < 5`, `, not empty`."""
    words = []
    for constraint in (item for field in metadata for item in getattr(field, "metadata", [])):
        for name in ("ge", "gt", "le", "lt", "multiple_of", "min_length"):
            value = getattr(constraint, name, None)
            match name if value is not None else None:
                case "ge" | "gt" | "le" | "lt":
                    words.append(f"{_SIGNS[name]} {'2<sup>32</sup>' if value == 2**32 else f'{value:g}'}")
                case "multiple_of":
                    words.append(f"multiple of {value}")
                case "min_length":
                    words.append("not empty")
    return ("" if not words else " " if words[0][0] in "≥>≤<" else ", ") + ", ".join(words)


def _value(key: str, values: dict[str, Any], presets: dict[str, dict[str, Any]]) -> str:
    """The committed value, and those of the presets that differ."""
    if key not in values:  # a mapping
        inner = {name: value for name, value in values.items() if name.startswith(f"{key}.")}
        return "<br>".join(
            f"`{name.removeprefix(key + '.')}: {_plain(value)}`" for name, value in inner.items()
        )
    changed = {
        name: preset[key] for name, preset in presets.items() if preset.get(key, values[key]) != values[key]
    }
    others = [f"{name}: `{_plain(value)}`" for name, value in changed.items()]
    return "<br>".join([f"`{_plain(values[key])}`", *others])


def _plain(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
    return str(value)


def read_comments(text: str) -> dict[str, str]:
    """Dotted key -> the comment next to it, and the comment lines right above it."""
    comments: dict[str, str] = {}
    above: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.lstrip(" #"))
            continue
        if found := _LINE.match(line):
            indent, name, beside = len(found[1]), found[2], found[3]
            path = [*(part for part in path if part[0] < indent), (indent, name)]
            comment = " ".join([*above, *([beside] if beside else [])])
            if comment:
                comments[".".join(part[1] for part in path)] = comment
        above = []
    return comments


def describe_stale(key: str, stages: dict[str, Any]) -> str:
    """The stages that a change of `key` makes stale: those that name it and all that depend on their outputs."""
    names = list(stages)
    stale = {
        name for name in names if any(_is_below(key, section) for section in _entries(stages[name], "params"))
    }
    while more := {name for name in names if name not in stale and _reads_from(stages[name], stale, stages)}:
        stale |= more
    ordered = [name for name in names if name in stale]
    if not ordered:
        return "nothing"
    if ordered == names[names.index(ordered[0]) :] and len(ordered) > 1:
        return f"`{ordered[0]}` and all after it"
    return ", ".join(f"`{name}`" for name in ordered)


def _reads_from(stage: dict[str, Any], others: set[str], stages: dict[str, Any]) -> bool:
    outs = [
        out
        for name in others
        for kind in ("outs", "metrics", "plots")
        for out in _entries(stages[name], kind)
    ]
    return any(
        dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")
        for dep in _entries(stage, "deps")
        for out in outs
    )


def _entries(stage: dict[str, Any], kind: str) -> list[str]:
    """`[a, {b: {cache: false}}]` -> `[a, b]`."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in stage.get(kind, [])]


def _is_below(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")
