"""Parallel map: results, order and errors."""

import os
from functools import partial

import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.metrics.grid_levels import Grid, photo_levels
from fashionseg.parallel import map_photos

pytestmark = pytest.mark.slow


def test_results_do_not_depend_on_the_number_of_workers(photos):
    """In real processes, so that arguments and results are pickled."""
    grid = Grid(scores=(0.2, 0.7), nms=(0.5,), masks=(0.5,), min_areas=(0, 500))
    function = partial(photo_levels, grid=grid, label="classid")
    many = photos * 20
    alone, together = (map_photos(function, many, "", workers=workers) for workers in (1, 2))
    assert len(alone) == len(together) == len(many)
    for ours, theirs in zip(alone, together, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_work_gives_no_results():
    assert map_photos(list, [], "") == []


class Deadly:
    """Ends the worker that receives it."""

    def __reduce__(self) -> tuple:
        return os._exit, (1,)


def test_a_killed_worker_is_one_line_with_the_remedy():
    with pytest.raises(UserError, match=r"was killed; if memory ran out, run it again on fewer cores"):
        map_photos(Deadly(), [1, 2], "", workers=2)
