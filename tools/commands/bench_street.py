"""`python -m tools bench-street FOLDER`: our Mask R-CNN and torchvision's on the same photos for the same time.

1. Decode and split the photos.
2. Train each side for half of the time and predict the validation photos.
3. Print and write COCO mask AP and photos per second of both.

State is kept: with `--piece-minutes` a call ends early and the same command resumes.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from fashionseg.console import EXIT_FAULT, say
from fashionseg.errors import UserError
from tools.bench.packages import missing_packages_named

if TYPE_CHECKING:
    from tools.bench.street_run import StreetRun

_SIDES = ("ours", "torchvision")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="photos in Kaggle's layout")
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="of training, half for each side (default: %(default)g)"
    )
    parser.add_argument("--only", choices=_SIDES, help="run one side only")
    parser.add_argument(
        "--piece-minutes", type=float, help="of this call; the same command resumes (default: no limit)"
    )
    parser.add_argument(
        "--learning-rate", type=float, help="peak of both, AdamW (default: %(default)s)", default=3e-4
    )
    parser.add_argument("--batch-size", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument("--restart", action="store_true", help="discard the state of earlier calls")
    parser.add_argument(
        "--try-on-cpu",
        action="store_true",
        help="all steps with few photos and small networks on any device; its rows are not results",
    )
    parser.add_argument("--out", type=Path, help="folder of state and results (default: .fashionseg/street)")


def run(arguments: argparse.Namespace) -> int:
    with missing_packages_named("bench-street"):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from fashionseg.project import find_root, state_folder
    from tools.bench.results import RESULTS, as_line, machine_text, write_results
    from tools.bench.settings import gpu_backend, original_params
    from tools.bench.street import is_done, rows, run_sides
    from tools.bench.street_run import prepare
    from tools.bench.timing import OthersLoad, processor

    start, load = time.monotonic(), OthersLoad()
    settings = _settings(arguments)
    os.chdir(find_root())
    name = "street-trial" if arguments.try_on_cpu else "street"
    out = (arguments.out or state_folder(name)).resolve()
    if arguments.restart:
        shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("KERAS_BACKEND", gpu_backend())
    if not arguments.try_on_cpu:  # of the processes that this one starts
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(out / "jax-cache"))
    prepare(settings, out, original_params())

    sides = (arguments.only,) if arguments.only else _SIDES
    seconds = 60 * arguments.piece_minutes if arguments.piece_minutes else float("inf")
    faults = run_sides(out, settings, sides, seconds - (time.monotonic() - start))
    found = list(rows(out, settings, faults))
    for row in found:
        say(as_line(row))
    date = datetime.date.today().isoformat()
    machine = machine_text(processor(), (time.monotonic() - start) / 60, load.cores())
    write_results(out / RESULTS, found, date, machine)
    say(f"\nMeasured {date} on {machine}.\n-> {out / RESULTS}")
    if left := [side for side in sides if not is_done(out, side) and side not in faults]:
        say(f"not finished: {', '.join(left)}; the same command resumes")
    return EXIT_FAULT if faults else 0


def _settings(arguments: argparse.Namespace) -> StreetRun:
    from tools.bench.street_run import StreetRun, trial

    for option in ("minutes", "piece_minutes", "learning_rate", "batch_size"):
        value = getattr(arguments, option)
        if value is not None and not value > 0:
            raise UserError(f"--{option.replace('_', '-')}: expected a number above 0, got {value:g}")
    photos, minutes = str(arguments.folder.resolve()), arguments.minutes / len(_SIDES)
    if arguments.try_on_cpu:
        return trial(photos, minutes)
    return StreetRun(photos, minutes, batch_size=arguments.batch_size, learning_rate=arguments.learning_rate)
