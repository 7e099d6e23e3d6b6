"""Work on the real rows of a padded batch alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

import numpy as np
from keras import ops

from fashionseg.ops.boxes import Tensor

T = TypeVar("T")

_LENGTHS = (8, 16, 24, 40, 64)
_all_rows = ContextVar("_all_rows", default=False)
_WORTH = 0.75  # of all rows; a branch that saves less costs more in building the graph


def on_real_rows(work: Callable[[int], T], is_real: Tensor) -> T:
    """`work(rows)` with the least of a few numbers of rows that leaves no real row out.

    Real rows come first and are few in most photos; running a head on the padding would be most of its work. Shapes
    are static, so each number of rows is a branch of the graph, and the batch chooses between them.

    Args:
        work: from the first `rows` rows to tensors of shapes that do not depend on `rows`.
        is_real: bool [B, R].
    """
    total = is_real.shape[1]
    lengths = [length for length in _LENGTHS if length <= _WORTH * total] + [total]
    if len(lengths) == 1 or _all_rows.get():
        return work(total)
    longest = ops.max(ops.sum(ops.cast(is_real, "int32"), axis=1))
    index = ops.sum(ops.cast(longest > np.array(lengths[:-1], np.int32), "int32"))
    return ops.switch(index, [partial(work, rows) for rows in lengths])


@contextmanager
def all_rows() -> Iterator[None]:
    """Context in which padding is worked on too: for runtimes without branches."""
    token = _all_rows.set(True)
    try:
        yield
    finally:
        _all_rows.reset(token)
