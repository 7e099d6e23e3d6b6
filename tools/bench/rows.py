"""A measurement and what it is held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fashionseg.params import Params


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: the work, such as `decode masks`.
        on: its size.
        value, unit: what was measured; units of time are for one piece of work, `x` is a ratio.
        target: None for a figure that is only shown.
        lower_is_better: whether `target` is the most or the least allowed.
        note: what it was compared with, and the spread.
    """

    what: str
    on: str
    value: float
    unit: str
    target: float | None = None
    lower_is_better: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """None where there is no target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.lower_is_better else self.value >= self.target

    @property
    def share(self) -> float | None:
        """How far the target is met: 1 just so, 2 twice as good as asked for, below 1 missed."""
        if self.target is None:
            return None
        good, bad = (self.target, self.value) if self.lower_is_better else (self.value, self.target)
        return good / max(bad, 1e-12)


@dataclass(frozen=True)
class Bench:
    """How a run measures.

    Attributes:
        params: params.yaml with the settings of the original training (preset kaggle-dgx).
        work: a folder for inputs that the bench makes.
        repeats: of each measurement, interleaved with what it is compared with.
        size: share of the usual amount of work; 1 is what the table is made with, tests take less.
        full: evaluation and decoding on the whole of what the targets name, without scaling up.
        networks: backbone and side of the input in pixels.
    """

    params: Params
    work: Path
    repeats: int = 3
    size: float = 1.0
    full: bool = False
    networks: tuple[tuple[str, int], ...] = (
        ("resnet50", 256),
        ("resnet101", 256),
        ("resnet50", 512),
        ("resnet101", 512),
    )

    def count(self, usual: int, least: int = 1) -> int:
        """`usual` pieces of work, fewer in a small run."""
        return max(least, round(usual * self.size))
