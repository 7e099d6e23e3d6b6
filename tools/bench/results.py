"""Results of a run: a line per row on the terminal, and results.json, from which the documentation makes its table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashionseg.storage.atomic import atomic_write
from tools.bench.rows import Row

RESULTS = "results.json"
_BUSY_CORES = 0.2


def as_json(row: Row) -> dict[str, Any]:
    """The row as stored: name, value, unit, target as text, met (None without a target) and note."""
    sign = "≤" if row.lower_is_better else "≥"
    target = None if row.target is None else f"{sign} {row.target:.3g} {row.unit}"
    return {
        "name": f"{row.what}: {row.on}",
        "value": row.value,
        "unit": row.unit,
        "target": target,
        "met": row.met,
        "note": row.note,
    }


def as_line(row: Row) -> str:
    """The row for a terminal; its note is on a second line."""
    stored = as_json(row)
    measured = f"{number_text(row.value)} {row.unit}"
    verdict = {True: "met", False: "MISSED", None: ""}[row.met]
    line = f"{row.what:<42} {measured:>18}  {stored['target'] or '':<18} {verdict:<7} {row.on}"
    return f"{line}\n{'':<42}   {row.note}" if row.note else line


def number_text(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def machine_text(machine: str, minutes: float, others_cores: float) -> str:
    """The machine, and whether other processes disturbed the measurement."""
    state = "busy" if others_cores > _BUSY_CORES else "idle"
    return f"{machine}, {state} (other processes took {others_cores:.2f} cores), {minutes:.1f} minutes"


def write_results(path: Path, rows: Sequence[Row], date: str, machine: str, **settings: Any) -> None:
    """Writes date, machine, settings of the run and all rows as JSON."""
    results = {"date": date, "machine": machine, **settings, "rows": [as_json(row) for row in rows]}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
