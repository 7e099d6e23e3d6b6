"""HTML tables: figures with their names, and the table of categories with colours and bars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import pandas as pd

from fashionseg.params import flatten
from fashionseg.visualize.colours import css_colour

_BARS = ("ap", "score", "precision", "recall", "iou", "f1")  # columns of fractions, shown with a bar


def figure(value: object) -> str:
    """A number as people read it: `1 234`, `0.417`; a missing one as a dash."""
    if value is None or (isinstance(value, float) and value != value):
        return "\N{EN DASH}"
    if isinstance(value, bool | str):
        return escape(str(value))
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\N{THIN SPACE}")
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}".replace(",", "\N{THIN SPACE}")
    if isinstance(value, list | tuple):
        return ", ".join(figure(item) for item in value)
    return escape(str(value))


def figure_table(figures: Mapping[str, object]) -> str:
    """Two columns: the key and its figure."""
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td class=number>{figure(value)}</td></tr>"
        for key, value in flatten(figures).items()
    )
    return f"<table class=figures>{rows}</table>" if rows else '<p class="quiet">none</p>'


def category_table(categories: pd.DataFrame) -> str:
    """One row per category as given: its colour (column `category`, if there), then every column.

    Columns of fractions (AP, score, ...) get a bar.
    """
    columns = [str(column) for column in categories.columns]
    head = "".join(f"<th>{escape(column.replace('_', ' '))}</th>" for column in columns)
    rows = []
    for record in categories.to_dict("records"):
        cells = "".join(_cell(column, record[column]) for column in columns)
        rows.append(f"<tr>{cells}</tr>")
    return f"<div class=scroll><table class=categories><tr>{head}</tr>{''.join(rows)}</table></div>"


def _cell(column: str, value: object) -> str:
    if column == "category":
        swatch = f'<i class=swatch style="background:{css_colour(int(str(value)))}"></i>'
        return f"<td class=number>{swatch}{figure(value)}</td>"
    if isinstance(value, str):
        return f"<td>{escape(value)}</td>"
    is_bar = isinstance(value, float) and 0 <= value <= 1 and any(word in column.lower() for word in _BARS)
    bar = f'<span class=bar style="width:{100 * float(str(value)):.0f}%"></span>' if is_bar else ""
    return f"<td class=number>{figure(value)}{bar}</td>"
