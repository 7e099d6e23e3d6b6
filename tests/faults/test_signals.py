"""SIGTERM and Ctrl-C in the middle of a stage. For kill -9 of every stage see tests/test_kill.py."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fashionseg.cli import main


@pytest.mark.parametrize(
    ("sent", "status", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
@pytest.mark.fault(
    table="processes",
    case="SIGTERM, Ctrl-C",
    outcome="one line, exit status 143 or 130, no half-written output, no process left",
)
def test_a_stopped_stage_says_so_in_a_line_and_leaves_neither_half_an_output_nor_a_process(
    project: Path, sent: signal.Signals, status: int, word: str
) -> None:
    assert main(["preset", "sample", "download.sample.train_photos=3000"]) == 0
    command = [sys.executable, "-m", "fashionseg.stages.download", "--raw", "raw"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not any(project.glob(".raw.*.part/train/*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sent)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == status
    assert said == f"{word}; the same command resumes\n"
    assert list(project.glob(".raw*")) == [] and not (project / "raw").exists()
    assert psutil.wait_procs(workers, timeout=60)[1] == []
