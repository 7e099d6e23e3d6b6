"""Results of `make soak`: one JSON per part, one plot of both."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fashionseg.storage.atomic import atomic_write

PLOT = "soak.png"


def write_part(folder: Path, part: str, result: Mapping[str, Any]) -> None:
    """Writes `PART.json` and redraws the plot with all parts in the folder, earlier runs included."""
    with atomic_write(folder / f"{part}.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    parts = {
        name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("training", "serving")
        if (folder / f"{name}.json").is_file()
    }
    with atomic_write(folder / PLOT) as temporary:
        _plot(parts, temporary)


def _plot(parts: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Memory above, open files below, one column per part."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0 * len(parts), 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(parts), squeeze=False, sharex="col")
    for column, (part, result) in enumerate(parts.items()):
        minutes = [sample["seconds"] / 60 for sample in result["samples"]]
        rows = (("rss_mib", "memory of all processes, MiB"), ("open_files", "open files"))
        for axes, (key, label) in zip(grid[:, column], rows, strict=True):
            axes.plot(minutes, [sample[key] for sample in result["samples"]], linewidth=1, color="#2563eb")
            axes.set_ylim(bottom=0)
            axes.set_ylabel(label)
            axes.grid(alpha=0.3)
            for border in (1, 2):
                axes.axvline(minutes[-1] * border / 3, color="#6b6b76", linestyle=":", linewidth=1)
        grid[0, column].set_title(f"{part}: {result['summary']}", fontsize=9, wrap=True)
        grid[1, column].set_xlabel("minutes")
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
