"""The parts of `make soak` without its hour: sampling, detection of growth, and clients that count errors."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tools.soak.clients import Clients
from tools.soak.growth import judge
from tools.soak.results import write_part
from tools.soak.samples import Sample, watch

from fashionseg.data.jpeg import PhotoError
from fashionseg.registry.server import Limits, listen, make_app


def run_of(memory: list[float], files: list[int] | None = None) -> list[Sample]:
    files = files or [50] * len(memory)
    return [Sample(float(n), mib, count, 2) for n, (mib, count) in enumerate(zip(memory, files, strict=True))]


@pytest.mark.parametrize(
    ("memory", "files", "is_growing"),
    [
        ([100.0 + n for n in range(30)] + [200.0] * 60, None, False),  # warming up
        ([200.0 + n % 7 for n in range(90)], None, False),  # breathing
        ([200.0] * 80 + [300.0] * 3 + [200.0] * 7, None, False),  # a short peak
        ([200.0 + n / 3 for n in range(90)], None, True),  # 10 MiB in a third
        ([200.0 + (n > 60) * 5 for n in range(90)], None, True),  # a late step of 2.5 percent
        ([200.0] * 90, [50 + n // 10 for n in range(90)], True),  # a file now and then
        ([200.0] * 90, [50 + n % 2 for n in range(90)], False),
    ],
)
def test_growth_counts_after_the_first_third(
    memory: list[float], files: list[int] | None, is_growing: bool
) -> None:
    growth = judge(run_of(memory, files))
    assert growth is not None and growth.is_growing == is_growing


def test_too_few_samples_give_no_verdict() -> None:
    assert judge(run_of([1.0] * 8)) is None


def test_a_process_is_measured_with_its_children() -> None:
    child = "import sys; held = bytearray(b'x') * (60 << 20); print('ready', flush=True); sys.stdin.read()"
    parent = (
        "import subprocess, sys\n"
        "files = [open('/dev/null') for _ in range(20)]\n"
        f"subprocess.run([sys.executable, '-c', {child!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        sample = next(watch(process.pid, 0.01, lambda: False))
        process.stdin.close()
        process.wait()
        assert list(watch(process.pid, 0.01, lambda: False)) == []
    assert sample.processes == 2
    assert sample.rss_mib > 60
    assert sample.open_files >= 20 + 2 * 3


@contextmanager
def serving(limits: Limits) -> Iterator[int]:
    def detect(data: bytes) -> dict[str, Any]:
        if data == b"pho":  # the half that a client sends now and then
            raise PhotoError("cut short")
        time.sleep(0.001)
        return {}

    listener = listen(0)
    config = uvicorn.Config(make_app(detect, "1", limits), log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


def ask_for_a_while(limits: Limits, enough: int) -> Clients:
    with serving(limits) as port:
        clients = Clients(port, [b"photos"], 16)
        deadline = time.monotonic() + 60
        while clients.answers.total() < enough and time.monotonic() < deadline:
            time.sleep(0.02)
        clients.stop()
    return clients


def test_sixteen_clients_see_no_error_unless_the_queue_is_missing() -> None:
    clients = ask_for_a_while(Limits(), 200)
    assert clients.answers["200"] and clients.answers["400"]
    assert clients.wrong.total() == 0
    # The control: with one place and no queue there are refusals, and they count as wrong.
    assert ask_for_a_while(Limits(at_once=1, max_waiting=0), 200).wrong["503"] > 0


def test_the_plot_shows_the_parts_that_were_run(tmp_path: Path) -> None:
    samples = [{"seconds": n, "rss_mib": 1.0, "open_files": 3, "processes": 1} for n in range(9)]
    for part in ("training", "serving"):
        write_part(tmp_path, part, {"summary": "level", "samples": samples})
        assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "serving.json").read_text())["summary"] == "level"
