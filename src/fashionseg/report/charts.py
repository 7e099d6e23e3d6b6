"""Line charts as inline SVG: no library, no script, colours from the page's style, so they follow dark mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 12, 26


@dataclass(frozen=True)
class Line:
    """`values[i]` stands at x = i + 1; None is a gap. `style` is a class of the page's CSS."""

    name: str
    values: Sequence[float | None]
    style: str


def line_chart(
    lines: Sequence[Line],
    label: str,
    width: int = 360,
    height: int = 200,
    stages: Sequence[tuple[str, int]] = (),
    best: int | None = None,
) -> str:
    """An SVG of `lines` over epochs.

    Args:
        label: what it shows, for people who hear the page.
        width, height: of the drawing's own units; the page scales it.
        stages: name and last epoch of each training stage; a rule stands between two.
        best: the epoch to mark.
    """
    numbers = [value for line in lines for value in line.values if value is not None]
    epochs = max((len(line.values) for line in lines), default=0)
    if not numbers or not epochs:
        return '<p class="quiet">nothing recorded</p>'
    ticks = nice_ticks(min(0.0, *numbers), max(numbers))
    low, high = ticks[0], ticks[-1]

    def x(epoch: float) -> float:
        return _LEFT + (width - _LEFT - _RIGHT) * (epoch - 1 + (epochs == 1) / 2) / max(epochs - 1, 1)

    def y(value: float) -> float:
        return height - _BOTTOM - (height - _TOP - _BOTTOM) * (value - low) / (high - low)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label, quote=True)}">']
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{_LEFT} {y(tick):.1f}H{width - _RIGHT}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for epoch in epoch_ticks(epochs):
        parts.append(
            f'<text class="tick" x="{x(epoch):.1f}" y="{height - 8}" text-anchor="middle">{epoch}</text>'
        )
    for _, last in stages[:-1]:
        parts.append(f'<path class="stage" d="M{x(last + 0.5):.1f} {_TOP}V{height - _BOTTOM}"/>')
    if best is not None:
        parts.append(f'<path class="best" d="M{x(best):.1f} {_TOP}V{height - _BOTTOM}"/>')
    for line in lines:
        parts += _curve(line, x, y)
    return "".join([*parts, "</svg>"])


def _curve(line: Line, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    """The path, broken at gaps, and a dot per epoch whose title tells the value."""
    path, pen_down, dots = [], False, []
    for epoch, value in enumerate(line.values, 1):
        if value is None:
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{x(epoch):.1f} {y(value):.1f}")
        pen_down = True
        title = f"<title>{escape(line.name)}, epoch {epoch}: {value:.4g}</title>"
        dots.append(
            f'<circle class="{line.style}" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="2.2">{title}</circle>'
        )
    return [f'<path class="{line.style}" d="{"".join(path)}"/>', *dots] if path else []


def nice_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Ticks at 1, 2 or 5 times a power of ten that enclose `low` to `high`, at most `most` + 1 of them."""
    span = high - low if high > low else max(abs(high), 1.0)
    raw = span / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * k, 12) for k in range(first, max(last, first + 1) + 1)]


def epoch_ticks(epochs: int, most: int = 8) -> list[int]:
    """Whole epochs from 1, the last one always among them."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 10**9) if epochs <= s * most)
    ticks = [1, *range(step, epochs + 1, step)] if step > 1 else list(range(1, epochs + 1))
    if ticks[-1] != epochs:
        # The last tick replaces one that stands too close to it.
        ticks = [tick for tick in ticks if epochs - tick >= step * 0.6] + [epochs]
    return ticks
