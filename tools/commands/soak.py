"""`python -m tools soak`: trains, then serves for long, and reports whether memory or open files grow."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashionseg.console import say
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.project import find_root, state_folder
from tools.bench.timing import processor

if TYPE_CHECKING:
    from tools.soak.samples import Sample

PARTS = ("training", "serving")
_SERVING_SHARE = 1 / 6
_CLIENTS = 16
_LEAST_MINUTES = 5.0  # less is warm-up only
_SAMPLES = 720  # per run; one every five seconds in an hour


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--minutes",
        type=float,
        default=60.0,
        help="of training; serving takes a sixth (default: %(default)s)",
    )
    parser.add_argument("--only", choices=PARTS, help="run one part only")
    parser.add_argument("--out", type=Path, help="folder of results (default: .fashionseg/soak)")


def run(arguments: argparse.Namespace) -> int:
    if not arguments.minutes > 0:
        raise UserError(f"--minutes: expected a time above 0, got {arguments.minutes:g}")
    root = find_root()
    os.chdir(root)
    out = (arguments.out or state_folder("soak")).resolve()
    out.mkdir(parents=True, exist_ok=True)
    from tools.soak.inputs import soak_params, write_inputs
    from tools.soak.results import PLOT, write_part

    write_inputs(out / "work", soak_params(load_params(PARAMS_FILE)))
    is_bad = False
    for part in PARTS if arguments.only is None else (arguments.only,):
        result = (_train if part == "training" else _serve)(out, arguments.minutes * 60)
        write_part(out, part, result)
        say(f"{part}: {result['summary']}")
        is_bad |= result["is_bad"]
    say(f"-> {out / PLOT}")
    return int(is_bad)


def _train(out: Path, seconds: float) -> dict[str, Any]:
    """Trains in a separate process and samples it."""
    from tools.soak.samples import watch

    shutil.rmtree(out / "work" / "state", ignore_errors=True)
    log = out / "training.log"
    with _started("training", log, str(out / "work"), str(seconds)) as process:
        samples = list(watch(process.pid, seconds / _SAMPLES, lambda: False))
        if process.wait() != 0:
            raise UserError(f"soak: training exited with status {process.returncode}; see {log}")
    epochs = sum(line.startswith("soak epoch") for line in log.read_text(encoding="utf-8").splitlines())
    return _result(samples, f"{epochs:,} epochs")


def _serve(out: Path, training_seconds: float) -> dict[str, Any]:
    """Serves in a separate process, with client threads in this one."""
    from tools.soak.clients import Clients
    from tools.soak.samples import watch

    seconds = training_seconds * _SERVING_SHARE
    photos = [path.read_bytes() for path in sorted((out / "work/raw/test").iterdir())]
    port_file = out / "work" / "port"
    port_file.unlink(missing_ok=True)
    log = out / "serving.log"
    with _started("serving", log, str(out / "work"), str(port_file)) as process:
        while not port_file.exists():
            if process.poll() is not None:
                raise UserError(f"soak: server exited with status {process.returncode}; see {log}")
            time.sleep(0.1)
        clients = Clients(int(port_file.read_text()), photos, _CLIENTS)
        deadline = time.monotonic() + seconds
        try:
            samples = list(watch(process.pid, seconds / _SAMPLES, lambda: time.monotonic() > deadline))
        finally:
            clients.stop()
        process.terminate()
        process.wait()
    wrong = sum(clients.wrong.values())
    answers = ", ".join(f"{count:,} x {answer}" for answer, count in sorted(clients.answers.items()))
    result = _result(samples, f"{_CLIENTS} clients, {answers}, {wrong} of them wrong")
    return result | {
        "answers": dict(clients.answers),
        "wrong": dict(clients.wrong),
        "is_bad": result["is_bad"] or wrong > 0,
    }


@contextlib.contextmanager
def _started(module: str, log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of `tools.soak`, killed with all its children at the end of the block."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", f"tools.soak.{module}", *words],
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _result(samples: Sequence[Sample], done: str) -> dict[str, Any]:
    """Content of the JSON; `is_bad` if something grows."""
    from tools.soak.growth import judge

    minutes = samples[-1].seconds / 60 if samples else 0.0
    growth = judge(samples) if minutes >= _LEAST_MINUTES else None
    summary = f"{minutes:.1f} min, {done}"
    if growth is None:
        summary += "; too short to detect growth"
    else:
        files = f"{growth.open_files[0]:.0f} to {growth.open_files[1]:.0f} open files"
        memory = f"{growth.rss_mib[0]:.0f} to {growth.rss_mib[1]:.0f} MiB ({growth.share:+.1%})"
        summary += f"; {memory}, {files}: {'GROWS' if growth.is_growing else 'level'}"
    return {
        "summary": summary,
        "is_bad": growth is not None and growth.is_growing,
        "date": datetime.date.today().isoformat(),
        "machine": processor(),
        "samples": [asdict(sample) for sample in samples],
    }
