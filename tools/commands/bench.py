"""`python -m tools bench`: speed of the parts against their targets; `python -m tools bench gpu` for a GPU."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fashionseg.console import say
from fashionseg.errors import UserError
from tools.bench.packages import missing_packages_named

if TYPE_CHECKING:
    from tools.bench.rows import Bench, Row

# TensorFlow last: its threads and its memory would disturb the measurements of other parts.
PARTS = {
    "masks": ("tools.bench.data", "measure_masks"),
    "photos": ("tools.bench.data", "measure_photos"),
    "memory": ("tools.bench.data", "measure_memory"),
    "loader": ("tools.bench.loader", "measure_loader"),
    "evaluation": ("tools.bench.evaluation", "measure_evaluation"),
    "submission": ("tools.bench.evaluation", "measure_submission"),
    "help": ("tools.bench.start", "measure_help"),
    "repro": ("tools.bench.start", "measure_repro"),
    "training": ("tools.bench.training", "measure_training"),
    "inference": ("tools.bench.inference", "measure_inference"),
    "torchvision": ("tools.bench.against_torchvision", "measure_against_torchvision"),
}
_WITH_NETWORK = ("training", "inference", "torchvision")
KEPT = Path("docs/data/bench.json")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("machine", nargs="?", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--only", nargs="+", choices=tuple(PARTS), default=[], metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement (default: %(default)s)")
    parser.add_argument("--size", type=float, default=1.0, help="share of the usual work, for a quick look")
    parser.add_argument(
        "--networks",
        nargs="+",
        default=[],
        metavar="BACKBONE:SIDE",
        help="such as resnet50:256 (default: all four)",
    )
    parser.add_argument("--full", action="store_true", help="evaluate all 9,000 photos, no extrapolation")
    parser.add_argument("--batch-size", type=int, default=32, help="on a GPU (default: %(default)s)")
    parser.add_argument(
        "--profile", action="store_true", help="with `gpu` on JAX: also a table of device time, profile.md"
    )
    parser.add_argument(
        "--try-on-cpu",
        action="store_true",
        help="with `gpu`: all steps with a small network on any device; its rows are not results",
    )
    parser.add_argument("--out", type=Path, help="folder of results (default: .fashionseg/bench)")
    parser.add_argument(
        "--keep", action="store_true", help=f"also write {KEPT}, the table of the documentation"
    )


def run(arguments: argparse.Namespace) -> int:
    with missing_packages_named(f"bench {arguments.machine}"):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from fashionseg.project import find_root, state_folder
    from tools.bench.settings import gpu_backend

    if arguments.try_on_cpu and arguments.machine != "gpu":
        raise UserError("--try-on-cpu: expected with `bench gpu` only")
    is_partial = arguments.only or arguments.networks or arguments.size != 1.0 or arguments.machine == "gpu"
    if arguments.keep and is_partial:
        raise UserError("--keep: expected a whole run on the CPU, without gpu, --only, --networks and --size")
    os.chdir(find_root())  # worker processes and DVC take paths relative to the project
    name = "bench-trial" if arguments.try_on_cpu else "bench"
    out = (arguments.out or state_folder(name)).resolve()
    if arguments.machine == "gpu":
        # All before Keras is imported. JAX shares the card with torchvision's process.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        os.environ.setdefault("KERAS_BACKEND", gpu_backend())
        if not arguments.try_on_cpu:
            os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(out / "jax-cache"))
    work = out / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        return _measure(arguments, out, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _measure(arguments: argparse.Namespace, out: Path, work: Path) -> int:
    from tools.bench.results import RESULTS, as_line, machine_text, write_results
    from tools.bench.rows import Bench
    from tools.bench.settings import original_params
    from tools.bench.timing import OthersLoad, processor

    bench = Bench(original_params(), work, arguments.repeats, arguments.size, arguments.full)
    if arguments.networks:
        bench = replace(bench, networks=tuple(_network(text) for text in arguments.networks))
    load, start = OthersLoad(), time.perf_counter()
    date, processors = datetime.date.today().isoformat(), processor()
    is_gpu = arguments.machine == "gpu"
    if is_gpu:
        device, measured = _gpu(bench, arguments, out)
        processors = f"{device} and {processors}"
    else:
        measured = _cpu(bench, arguments.only)
    rows: list[Row] = []
    machine = processors
    for row in measured:
        rows.append(row)
        say(as_line(row))
        machine = machine_text(processors, (time.perf_counter() - start) / 60, load.cores())
        # After each row, so that an interrupted run is not lost.
        write_results(out / RESULTS, rows, date, machine, repeats=arguments.repeats, size=arguments.size)
    judged = [row for row in rows if row.met is not None]
    say(
        f"\n{sum(bool(row.met) for row in judged)} of {len(judged)} targets met. Measured {date} on {machine}."
    )
    say(f"-> {out / RESULTS}")
    if arguments.keep:
        shutil.copyfile(out / RESULTS, KEPT)
        say(f"-> {KEPT}")
    return 0


def _cpu(bench: Bench, only: list[str]) -> Iterator[Row]:
    for part, (module, function) in PARTS.items():
        if not only or part in only:
            if part in _WITH_NETWORK:
                from fashionseg.backend import start_backend

                start_backend()
            yield from getattr(importlib.import_module(module), function)(bench)
    if not only:
        say("GPU rows: not measured by this command; use `make bench-gpu` on a machine with a GPU")


def _gpu(bench: Bench, arguments: argparse.Namespace, out: Path) -> tuple[str, Iterator[Row]]:
    """Name of the device, and the rows."""
    from fashionseg.backend import start_backend

    start_backend()
    from tools.bench.gpu import TRIAL, GpuRun, check_device, measure_gpu

    if arguments.profile and (backend := os.environ["KERAS_BACKEND"]) != "jax":
        raise UserError(f"--profile: expected Keras on JAX, got {backend}")
    device = check_device(may_be_cpu=arguments.try_on_cpu)
    gpu_run = GpuRun(batch_size=arguments.batch_size, rounds=arguments.repeats)
    if arguments.try_on_cpu:
        say("trial: small network, no targets, no results")
        gpu_run = TRIAL
    profile = out / "profile.md" if arguments.profile else None
    return device, measure_gpu(bench, replace(gpu_run, profile=profile))


def _network(text: str) -> tuple[str, int]:
    backbone, _, side = text.partition(":")
    if not side.isdigit():
        raise UserError(f"--networks: expected BACKBONE:SIDE such as resnet50:256, got {text!r}")
    return backbone, int(side)
