"""One row of the comparison: a tensor, how far it is off, and how far it may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from keras import ops

# Of the largest value, where the reference has no noise of its own: another order of float32 operations.
FLOAT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Row:
    """A compared tensor.

    Attributes:
        case: reference file it is from.
        tensor: name of the reference array.
        shape: of the reference array.
        difference: largest absolute difference; infinite where shapes differ or a value is not finite.
        tolerance: what the difference may be; 0 for discrete results.
    """

    tensor: str
    shape: tuple[int, ...]
    difference: float
    tolerance: float
    case: str = ""

    @property
    def ok(self) -> bool:
        """Whether the tensors agree."""
        return self.difference <= self.tolerance


def close(tensor: str, ours: Any, reference: Any, tolerance: float) -> Row:
    """Floating-point tensors, `tolerance` absolute."""
    expected = np.asarray(reference, np.float64)
    got = as_array(ours).astype(np.float64)
    return Row(tensor, expected.shape, _largest_difference(got, expected), tolerance)


def close_to_scale(tensor: str, ours: Any, reference: Any, fraction: float) -> Row:
    """Floating-point tensors, `fraction` of the largest reference value (at least 1)."""
    expected = np.asarray(reference, np.float64)
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    return close(tensor, ours, reference, fraction * scale)


def same(tensor: str, ours: Any, reference: Any) -> Row:
    """Discrete tensors, and what must be exact."""
    return close(tensor, ours, reference, 0.0)


def as_array(tensor: Any) -> np.ndarray:
    """A NumPy array of a tensor of any backend."""
    return np.asarray(tensor if isinstance(tensor, np.ndarray) else ops.convert_to_numpy(tensor))


def named(rows: Iterable[Row], case: str) -> Iterator[Row]:
    """`rows` with the name of their case."""
    for row in rows:
        yield replace(row, case=case)


def _largest_difference(got: np.ndarray, expected: np.ndarray) -> float:
    if got.shape != expected.shape:
        return math.inf
    difference = np.abs(got - expected)
    if not np.isfinite(difference).all():
        return math.inf
    return float(difference.max(initial=0.0))
