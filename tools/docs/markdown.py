"""Tables in Markdown, and code in their cells."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose cells may hold any text of one line."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    """`text` as code that a narrow cell breaks after `.`, `/`, `:` and `_` only."""
    broken = re.sub(r"(::|[./_])", r"\1<wbr>", html.escape(text))
    return f"<code>{broken.replace('_', '&#95;').replace('|', '&#124;')}</code>"
