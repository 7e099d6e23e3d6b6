"""Parallel map: results, order and errors."""

import os
import subprocess
import sys
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


MAP = "from fashionseg.parallel import map_photos\n"
CALL = "map_photos(abs, [-1, 2], '', workers=2)"
# Each script of a library user has its work at the top level.
SCRIPTS = {
    "a function of the package": f"{MAP}print({CALL})\n",
    "inside a function and another condition": (
        f"{MAP}def work():\n    return {CALL}\nif True:\n    print(work())\n"
    ),
    "by the import of a module": "import at_top_level\n",
    "the loader of the training": (
        "import grain\nfrom fashionseg.data.loader import _iterate\n"
        "print(next(_iterate(grain.MapDataset.range(4).batch(2), 1, 1)))\n"
    ),
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.fault(
    table="processes",
    case='a script without `if __name__ == "__main__":` that calls a function with worker processes',
    outcome="one line with the script, the line and the reason; no worker starts",
)
def test_a_script_without_a_main_guard_gets_the_real_cause(tmp_path, script):
    (tmp_path / "at_top_level.py").write_text(SCRIPTS["a function of the package"])
    path = tmp_path / "mine.py"
    path.write_text(script)
    ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("Traceback") == 1  # of the script itself; none of a worker
    last = ended.stderr.splitlines()[-1]
    assert f"UserError: {path}: line " in last
    assert 'inside `if __name__ == "__main__":`' in last


@pytest.mark.parametrize("how", ["guarded", "-c"])
def test_a_guarded_script_and_a_prompt_start_workers(tmp_path, how):
    command = [sys.executable, "-c", f"{MAP}print({CALL})"]
    if how == "guarded":
        (tmp_path / "mine.py").write_text(f"{MAP}if __name__ == '__main__':\n    print({CALL})\n")
        command = [sys.executable, "mine.py"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert (ended.stdout, ended.stderr) == ("[1, 2]\n", "")


def test_a_script_from_standard_input_gets_the_real_cause(tmp_path):
    ended = subprocess.run(
        [sys.executable], input=f"{MAP}print({CALL})", capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.stderr.count("Traceback") == 1
    assert "<stdin>: worker processes cannot read the script again; save it" in ended.stderr.splitlines()[-1]
