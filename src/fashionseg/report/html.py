"""HTML pages from the templates: self-contained files, with text escaped."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from fashionseg.report.figures import svg_bytes
from fashionseg.storage.atomic import atomic_write
from fashionseg.visualize.colours import css_colour

MISSING = "\N{EN DASH}"
_FRACTIONS = ("ap", "score", "precision", "recall", "iou", "f1")  # in names of columns that get a bar


def write_page(
    path: Path, template: str, filters: Mapping[str, Callable[..., str]] | None = None, **values: object
) -> None:
    """Renders `template` with `values` into the file; `filters` are those that this template alone uses."""
    environment = Environment(
        loader=PackageLoader("fashionseg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": number_text,
        "bar": bar_percent,
        "colour": css_colour,
        "data_uri": data_uri,
        "chart_uri": lambda figure: data_uri(svg_bytes(figure), "svg+xml"),
        **(filters or {}),
    }
    page = environment.get_template(template).render(values)
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def data_uri(data: bytes, kind: str) -> str:
    """An image inside the page; `kind` such as jpeg, png or svg+xml."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def number_text(value: object) -> str:
    """A value for reading: `1 234`, `0.417`; a missing number as a dash."""
    if value is None or (isinstance(value, float) and value != value):
        return MISSING
    if isinstance(value, list | tuple):
        return ", ".join(number_text(item) for item in value)
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, float) and abs(value) < 100:
        return f"{value:.3f}"
    return f"{value:,.0f}".replace(",", "\N{THIN SPACE}")


def bar_percent(value: object, column: str) -> int | None:
    """Length of the bar below a fraction such as an AP or a score; None for other columns."""
    if isinstance(value, float) and 0 <= value <= 1 and any(word in column.lower() for word in _FRACTIONS):
        return round(100 * value)
    return None
