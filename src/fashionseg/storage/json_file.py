"""JSON files of the pipeline: written whole or not at all, read with the stage that writes them in every message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fashionseg.errors import UserError
from fashionseg.storage.atomic import atomic_write


def write_json(path: Path, values: dict[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def read_json(path: Path, source: str) -> dict[str, Any]:
    """The mapping in a file; `source` says how to get the file, such as "run the stage decode".

    Raises:
        UserError: the file is missing, or is not a JSON mapping.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {source}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not readable as JSON: {error}; {source}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping, got {type(values).__name__}; {source}")
    return values
