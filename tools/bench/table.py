"""What a run found: the table on the terminal and in Markdown, results.json, and one bar for each target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fashionseg.storage.atomic import atomic_write
from tools.bench.rows import Row

_HEADER = ("what", "on", "measured", "target", "met", "beside")
_BUSY_CORES = 0.2


def cells(row: Row) -> tuple[str, ...]:
    """The texts of one line."""
    target = (
        "" if row.target is None else f"{'≤' if row.lower_is_better else '≥'} {row.target:.3g} {row.unit}"
    )
    met = {None: "", True: "yes", False: "no"}[row.met]
    return row.what, row.on, f"{_number(row.value)} {row.unit}", target, met, row.note


def markdown(rows: Sequence[Row], circumstances: dict[str, Any]) -> str:
    """The table with a line on machine, date and what else ran."""
    lines = ["| " + " | ".join(_HEADER) + " |", "|---" * len(_HEADER) + "|"]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join([*lines, "", describe(circumstances)]) + "\n"


def describe(circumstances: dict[str, Any]) -> str:
    """One sentence on how the figures came about."""
    others = circumstances["others_cores"]
    text = f"Measured {circumstances['date']} on {circumstances['machine']}, {circumstances['minutes']:.1f} minutes"
    if others > _BUSY_CORES:
        return f"{text}, **on a busy machine**: other processes took {others:.1f} cores meanwhile."
    return f"{text}; other processes took {others:.2f} cores meanwhile."


def plain(row: Row) -> str:
    """One line as soon as it is measured."""
    what, on, measured, target, met, note = cells(row)
    verdict = {"yes": "met", "no": "MISSED", "": ""}[met]
    return f"{what:<42} {measured:>18}  {target:<18} {verdict:<7} {on}" + (
        f"\n{'':<42}   {note}" if note else ""
    )


def write_results(folder: Path, rows: Sequence[Row], circumstances: dict[str, Any]) -> None:
    """results.json, table.md and bench.png."""
    results = {**circumstances, "rows": [{**asdict(row), "met": row.met} for row in rows]}
    with atomic_write(folder / "results.json") as temporary:
        temporary.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic_write(folder / "table.md") as temporary:
        temporary.write_text(markdown(rows, circumstances), encoding="utf-8")
    if any(row.target is not None for row in rows):
        _plot(folder / "bench.png", rows, circumstances)


def _plot(path: Path, rows: Sequence[Row], circumstances: dict[str, Any]) -> None:
    """A bar for each target: how many times better than asked for, on a logarithmic axis."""
    from matplotlib.figure import Figure

    judged = [row for row in rows if row.share is not None]
    figure = Figure(figsize=(9, 1.3 + 0.36 * len(judged)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(judged):
        share = row.share or 0.0
        axes.barh(place, share - 1, left=1, color="#3b7d4f" if row.met else "#b5443c", height=0.6)
        _, _, measured, target, _, _ = cells(row)
        inside = share >= 1
        axes.text(
            share * (1.06 if inside else 0.94),
            place,
            f"{measured} (target {target})",
            va="center",
            ha="left" if inside else "right",
            fontsize=7,
        )
    axes.set_yticks(range(len(judged)), [f"{row.what}\n{row.on}" for row in judged], fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    shares = [row.share or 1.0 for row in judged]
    axes.set_xlim(min(0.1, 0.1 * min(shares)), max(10.0, 12 * max(shares)))
    axes.axvline(1, color="#444444", linewidth=0.8)
    axes.set_xlabel("times better than the target (below 1: missed)")
    figure.suptitle(describe(circumstances).replace("**", ""), fontsize=8)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None})


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
