"""What the last training of a stage was made of, so that one that starts again says why."""

from __future__ import annotations

from typing import Any

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import flatten
from fashionseg.project import state_folder
from fashionseg.storage.json_file import read_json, write_json

_SHOWN = 3  # changes in the line


def explain_restart(stage: str, parts: dict[str, Any]) -> None:
    """Prints why the last training is not continued, if there was one and anything differs.

    Args:
        stage: its name.
        parts: what decides the result: `params`, nested; `inputs`, a hash by path; `code`, a hash.
    """
    path = state_folder("trainings") / f"{stage}.json"
    try:
        before = flatten(read_json(path, ""))
    except UserError:  # the first training, or a damaged file, which is replaced
        before = {}
    write_json(path, parts)
    if changes := _changes(before, flatten(parts)):
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        hint = "; train.finetune.from continues from a finished model" if stage == "finetune" else ""
        say(
            f"{stage}: starts again at its first epoch, because since the last training "
            f"{', '.join(changes[:_SHOWN])}{more} changed{hint}"
        )


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """`key (old -> new)` of each parameter that differs, then the inputs, then the code."""
    changes = []
    for key in dict.fromkeys([*before, *after]) if before else ():
        old, new = before.get(key), after.get(key)
        if old != new:
            part, _, name = key.partition(".")
            changes.append({"params": f"{name} ({old} -> {new})", "inputs": name}.get(part, "the code"))
    return changes
