"""Reading untrusted YAML: limited in size, depth and kinds of values; each fault is one line."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fashionseg.errors import UserError

# A hundred times what params.yaml holds. Anchors of YAML expand a short text without limit.
_MAX_BYTES = 2**20
_MAX_VALUES = 100_000
_MAX_DEPTH = 50


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 mapping (there `1e-05` is a number, unlike in YAML 1.1)."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return parse_yaml(data, path)


def parse_yaml(data: bytes, path: Path) -> dict[str, Any]:
    """The mapping in `data`; `path` names it in errors."""
    if len(data) > _MAX_BYTES:
        raise UserError(f"{path}: expected at most {_MAX_BYTES} bytes, got more")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about dialects of YAML; what is read is checked
        try:
            values = YAML(typ="safe", pure=True).load(data.decode("utf-8-sig"))
        except (YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(f"{path}: not readable as YAML: {one_line(error)}") from None
        except Exception as error:  # of `seed: 2001-13-45`, `!!int x`, `!!bool maybe`: each another kind
            raise UserError(f"{path}: a value is not what it claims to be: {one_line(error)}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return plain_values(values, path)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` -> `{"a.b": 1}`; order kept."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def one_line(text: object, limit: int = 400) -> str:
    """A text from elsewhere as part of a message: blanks joined, nothing a terminal would obey, cut."""
    joined = " ".join(str(text).split())
    plain = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in joined)
    return plain if len(plain) <= limit else plain[:limit] + "..."


def plain_values(values: object, path: Path) -> Any:
    """`values` as JSON can hold them: text, numbers, truth values, lists, mappings by text.

    Raises:
        UserError: anything else that YAML knows (bytes, sets), text that is none, or far too much of it.
    """
    count = 0

    def copy(value: object, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > _MAX_VALUES or depth > _MAX_DEPTH:
            raise UserError(
                f"{path}: expected at most {_MAX_VALUES} values, {_MAX_DEPTH} deep, got more (anchors count each "
                "time)"
            )
        match value:
            case None | bool() | float():
                return value
            case int():
                if abs(value) >= 2**63:
                    raise UserError(f"{path}: expected numbers of 64 bits, got one of {value.bit_length()}")
                return value
            case str():
                return _encodable(value, path)
            case date():
                return str(value)
            case list() | tuple():
                return [copy(item, depth + 1) for item in value]
            case dict():
                return {_text_key(key, path): copy(item, depth + 1) for key, item in value.items()}
        raise UserError(f"{path}: expected text, numbers, lists and mappings, got {type(value).__name__}")

    return copy(values, 0)


def _text_key(key: object, path: Path) -> str:
    if isinstance(key, str):
        return _encodable(key, path)
    raise UserError(f"{path}: expected keys of text, got {one_line(repr(key), 120)}")


def _encodable(text: str, path: Path) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(
            f"{path}: expected text, got half a character in {one_line(ascii(text), 120)}"
        ) from None
    return text
