"""`fashionseg bench`: what the parts take, each beside its target; `fashionseg bench gpu` for a GPU."""

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
from typing import TYPE_CHECKING, Any

from fashionseg.console import say
from fashionseg.errors import UserError
from tools.bench.packages import missing_packages_named

if TYPE_CHECKING:
    from tools.bench.rows import Bench, Row

# TensorFlow last: its threads would disturb the others, and its memory their worker processes.
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
}
_WITH_NETWORK = ("training", "inference")


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
    parser.add_argument(
        "--full", action="store_true", help="all 9,000 photos of the evaluation, no scaling up"
    )
    parser.add_argument("--batch-size", type=int, default=32, help="on a GPU (default: %(default)s)")
    parser.add_argument(
        "--profile",
        action="store_true",
        help="of `gpu` on JAX: also a table of what the device did, profile.md",
    )
    parser.add_argument(
        "--try-on-cpu",
        action="store_true",
        help="of `gpu`: the whole way with a small network on whatever there is; its rows are no results",
    )
    parser.add_argument("--out", type=Path, help="folder of results (default: .fashionseg/bench)")


def run(arguments: argparse.Namespace) -> int:
    with missing_packages_named(f"bench {arguments.machine}"):
        return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from fashionseg.project import STATE_FOLDER, find_root
    from tools.bench.settings import gpu_backend

    if arguments.try_on_cpu and arguments.machine != "gpu":
        raise UserError("--try-on-cpu: expected with `bench gpu` only")
    os.chdir(find_root())  # the inputs made for worker processes and DVC name files of the project
    name = "bench-trial" if arguments.try_on_cpu else "bench"
    out = (arguments.out or Path(STATE_FOLDER) / name).resolve()
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
    from tools.bench.rows import Bench
    from tools.bench.settings import original_params
    from tools.bench.table import describe, plain, write_results
    from tools.bench.timing import OthersLoad, processor

    bench = Bench(original_params(), work, arguments.repeats, arguments.size, arguments.full)
    if arguments.networks:
        bench = replace(bench, networks=tuple(_network(text) for text in arguments.networks))
    load, start = OthersLoad(), time.perf_counter()
    circumstances: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "repeats": arguments.repeats,
        "size": arguments.size,
    }
    rows: list[Row] = []
    for row in (
        _gpu(bench, arguments, out, circumstances)
        if arguments.machine == "gpu"
        else _cpu(bench, arguments.only)
    ):
        rows.append(row)
        say(plain(row))
        circumstances |= {"minutes": (time.perf_counter() - start) / 60, "others_cores": load.cores()}
        write_results(out, rows, circumstances)  # after each row, so that an interrupted run is not lost
    judged = [row for row in rows if row.met is not None]
    say(f"\n{sum(bool(row.met) for row in judged)} of {len(judged)} targets met. {describe(circumstances)}")
    say(f"-> {out / 'table.md'}, {out / 'results.json'}" + (f", {out / 'bench.png'}" if judged else ""))
    return 0


def _cpu(bench: Bench, only: list[str]) -> Iterator[Row]:
    for part, (module, function) in PARTS.items():
        if not only or part in only:
            if part in _WITH_NETWORK:
                from fashionseg.backend import start_backend

                start_backend()
            yield from getattr(importlib.import_module(module), function)(bench)
    if not only:
        say("GPU rows: not measured by this command; `make bench-gpu` where there is a GPU")


def _gpu(
    bench: Bench, arguments: argparse.Namespace, out: Path, circumstances: dict[str, Any]
) -> Iterator[Row]:
    from fashionseg.backend import start_backend

    start_backend()
    from tools.bench.gpu import TRIAL, GpuRun, check_device, measure_gpu

    if arguments.profile and (backend := os.environ["KERAS_BACKEND"]) != "jax":
        raise UserError(f"--profile: expected Keras on JAX, got {backend}")
    device = check_device(may_be_cpu=arguments.try_on_cpu)
    circumstances["machine"] = f"{device} and {circumstances['machine']}"
    its = GpuRun(batch_size=arguments.batch_size, rounds=arguments.repeats)
    if arguments.try_on_cpu:
        say("a trial: small network, no targets, no results")
        its = TRIAL
    yield from measure_gpu(bench, replace(its, profile=out / "profile.md" if arguments.profile else None))


def _network(text: str) -> tuple[str, int]:
    backbone, _, side = text.partition(":")
    if not side.isdigit():
        raise UserError(f"--networks: expected BACKBONE:SIDE such as resnet50:256, got {text!r}")
    return backbone, int(side)
