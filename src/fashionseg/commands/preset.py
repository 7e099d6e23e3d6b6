"""`fashionseg preset NAME [key=value ...]`: merges a preset and single changes into params.yaml.

1. read params.yaml and presets/NAME.yaml, keeping comments and number formats;
2. put the preset's values in, then the changes, each key checked to exist;
3. check types and ranges of the whole before a byte is written;
4. write params.yaml atomically and report the changes;
5. where the batch size was changed and the learning rates were not: report it, with the command that scales them.
"""

from __future__ import annotations

import argparse
import io
import math
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedMap

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, flatten, parse_params, read_yaml
from fashionseg.params.changes import parse_change, round_trip_yaml, unknown_key
from fashionseg.project import find_root
from fashionseg.storage.atomic import atomic_write

PRESETS = "presets"
PATHS = ("download.folder", "download.annotations")
BATCH = ("train.num_devices", "train.images_per_device")  # their product is the batch size
RATES = ("train.heads.learning_rate", "train.finetune.learning_rate")
COMMENT_COLUMN = 32  # of params.yaml


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a file of presets/; without it they are listed"
    )
    parser.add_argument("changes", nargs="*", metavar="key=value", help="such as train.heads.epochs=3")


def run(arguments: argparse.Namespace) -> None:
    root = find_root()
    if arguments.name is None:
        say(_list_presets(root))
        return
    # `preset key=value` without a preset is allowed: single changes, checked in the same way.
    has_preset = "=" not in arguments.name
    preset = _read_preset(root, arguments.name) if has_preset else {}
    differences = dict(preset)
    for change in arguments.changes if has_preset else [arguments.name, *arguments.changes]:
        key, value = parse_change(change)
        if key in PATHS:  # relative to where the user is, not to params.yaml
            value = [_absolute(path) for path in value] if isinstance(value, list) else _absolute(value)
        differences[key] = value
    before = flatten(read_yaml(root / PARAMS_FILE))
    changed = merge(root / PARAMS_FILE, differences)
    for line in changed:
        say(line)
    say(f"{PARAMS_FILE}: {len(changed)} values changed" if changed else f"{PARAMS_FILE}: no change")
    # A preset's rates are meant for its batch, those of params.yaml for the one there.
    if hint := describe_batch(before | preset, before | differences):
        say(hint)


def _absolute(path: Any) -> Any:
    return str(Path(path).expanduser().resolve()) if isinstance(path, str) else path


def describe_batch(reference: dict[str, Any], values: dict[str, Any]) -> str | None:
    """The batch sizes, and a command that scales the learning rates linearly, where only the batch was changed.

    Args:
        reference: values by dotted key, whose rates are meant for their batch size.
        values: the same after the changes.
    """
    old, new = (math.prod(each[key] for key in BATCH) for each in (reference, values))
    rates = [key for key in RATES if values[key] == reference[key]]
    if old == new or not rates:
        return None
    words = " ".join(f"{key}={float(values[key]) * new / old:.4g}" for key in rates)
    return (
        f"batch size: {old} -> {new} photos, with the learning rates of {old}; to scale them linearly: "
        f"`fashionseg preset {words}`"
    )


def merge(path: Path, differences: dict[str, Any]) -> list[str]:
    """Writes `differences` (dotted key to value) into the params file; returns `key: old -> new` lines.

    Raises:
        UserError: unknown key, wrong type or value; the file is then as before.
    """
    yaml = round_trip_yaml()
    values = yaml.load(path.read_text(encoding="utf-8")) if read_yaml(path) else CommentedMap()
    before = flatten(values)
    for key, value in differences.items():
        if key not in before:
            raise UserError(unknown_key(key, list(before), path))
        _set(values, key.split("."), value)
    parse_params(values, Path(path.name))
    after = flatten(values)
    changed = [
        f"{key}: {_show(old)} -> {_show(after[key])}" for key, old in before.items() if after[key] != old
    ]
    if changed:
        text = io.StringIO()
        yaml.dump(values, text)
        with atomic_write(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
    return changed


def _read_preset(root: Path, name: str) -> dict[str, Any]:
    path = root / PRESETS / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"preset {name!r}: there is no such preset. {_list_presets(root)}")
    read_yaml(path)  # for its clear errors
    return flatten(round_trip_yaml().load(path.read_text(encoding="utf-8")))


def _list_presets(root: Path) -> str:
    names = sorted(path.stem for path in (root / PRESETS).glob("*.yaml"))
    return f"Presets: {', '.join(names)}"


def _set(values: CommentedMap, keys: list[str], value: Any) -> None:
    """Puts one value in; the comment behind it returns to its column, which a longer value may have shifted."""
    *sections, last = keys
    for section in sections:
        values = values[section]
    values[last] = value
    comment = values.ca.items.get(last, [None, None, None])[2]
    if comment is not None and comment.value.startswith("#"):
        comment.column = COMMENT_COLUMN


def _show(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
