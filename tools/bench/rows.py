"""A measurement and its target."""

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
        value, unit: the measurement; units of time are per piece of work, `x` is a ratio.
        target: None for a figure without one.
        lower_is_better: whether `target` is the most or the least allowed.
        note: what the value is compared with, and the spread.
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
        """None without a target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.lower_is_better else self.value >= self.target


@dataclass(frozen=True)
class Bench:
    """Settings of a run.

    Attributes:
        params: params.yaml with the settings of the original training (preset kaggle-dgx).
        work: folder for generated inputs.
        repeats: of each measurement, alternating with its comparison.
        size: share of the usual amount of work; 1 for results, less in tests.
        full: evaluation and decoding at the full size named by the targets, without extrapolation.
        networks: backbone and input side in pixels.
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
