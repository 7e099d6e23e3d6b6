"""The speed table, from the committed results of `make bench` (docs/data/bench.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.docs.markdown import table

_MET = {True: "yes", False: "**no**", None: ""}


def speed_table(path: Path) -> str:
    """One line on machine and date, then a row for each measurement."""
    results = json.loads(path.read_text(encoding="utf-8"))
    rows = results["rows"]
    judged = [row["met"] for row in rows if row["met"] is not None]
    about = f"{results['date']}, {results['machine']}: {sum(judged)} of {len(judged)} targets met."
    header = ("what", "measured", "target", "met", "note")
    return f"{about}\n\n{table(header, (_cells(row) for row in rows))}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    measured = f"{_number(row['value'])} {row['unit']}"
    return row["name"], measured, row["target"] or "", _MET[row["met"]], row["note"]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
