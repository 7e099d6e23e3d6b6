"""Single changes to params.yaml, typed as key=value."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, Params, flatten, parse_params, to_dict


def with_changes(params: Params, changes: Mapping[str, Any]) -> Params:
    """The params with some values replaced, by dotted key, checked as params.yaml is.

    Raises:
        UserError: an unknown key, or a value of another type or out of range.
    """
    values = to_dict(params)
    known = list(flatten(values))
    for key, value in changes.items():
        if key not in known:
            raise UserError(unknown_key(key, known, PARAMS_FILE))
        *sections, last = key.split(".")
        section = values
        for name in sections:
            section = section[name]
        section[last] = value
    return parse_params(values, PARAMS_FILE)


def parse_change(change: str) -> tuple[str, Any]:
    """`"train.heads.epochs=3"` -> `("train.heads.epochs", 3)`; the value is read as YAML."""
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise UserError(f"{change!r}: expected key=value, such as train.heads.epochs=3")
    try:
        return key, round_trip_yaml().load(text)
    except YAMLError:
        raise UserError(f"{change!r}: the value is not readable as YAML") from None


def unknown_key(key: str, known: list[str], path: Path) -> str:
    inside = [other for other in known if other.startswith(f"{key}.")]
    if inside:
        return f"{key}: expected a single value, but this is a section; its keys: {', '.join(inside)}"
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.75) or [
        other for other in known if other.endswith(f".{key.rpartition('.')[2]}")
    ]
    hint = f"; did you mean {' or '.join(near[:3])}?" if near else ""
    return f"{key}: no such key in {path.name}{hint}"


def round_trip_yaml() -> YAML:
    yaml = YAML()  # keeps comments, order, flow style and how numbers are written
    yaml.width = 4096
    yaml.preserve_quotes = True
    # `null` rather than ruamel's empty value.
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml
