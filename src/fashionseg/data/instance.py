"""One annotated object of a decoded photo."""

from __future__ import annotations

from dataclasses import dataclass

from fashionseg.data.rle import Runs
from fashionseg.taxonomy import format_class_id


@dataclass(frozen=True)
class Instance:
    """One object; `runs` at the stored size (None: too small to train on), `runs_512` in the competition's frame."""

    category: int
    attributes: tuple[int, ...]
    runs: Runs | None
    runs_512: Runs

    @property
    def class_id(self) -> str:
        return format_class_id(self.category, self.attributes)
