"""kill -9 at random moments of a real, tiny pipeline: the resumed run always ends with the same outputs.

`make test-all` kills once in each stage, `make kill-test` more often (some ten minutes for 20 on two idle cores): KILLS
and SEED choose how often and when.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tools.commands.dvc_locks import remove_damaged_lock
from tools.commands.reproducible import TINY, differing, output_hashes

KILLS = int(os.environ.get("FASHIONSEG_KILLS", "8"))
SEED = int(os.environ.get("FASHIONSEG_KILL_SEED", "1"))
CHANGES = TINY | {"train.finetune.epochs": "3", "loader.workers": "1", "decode.workers": "2"}
# Relative number of kills per stage: a training lasts longer than a stage of seconds.
WEIGHTS = {
    "download": 2,
    "pretrained": 1,
    "decode": 3,
    "split": 2,
    "train_heads": 4,
    "finetune": 5,
    "predict": 2,
    "evaluate": 1,
    "submit": 1,
}

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]


class Clone:
    """A clone of the commit with tiny parameters."""

    def __init__(self, repo: Path, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self.environment = os.environ | {
            "PYTHONPATH": str(folder / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "site"),
        }
        subprocess.run(["git", "clone", "-q", str(repo), str(folder)], check=True)
        changes = [f"{key}={value}" for key, value in CHANGES.items()]
        self._fashionseg("preset", "sample", *changes)

    def _fashionseg(self, *words: str) -> None:
        command = [sys.executable, "-m", "fashionseg.cli", *words]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    @contextmanager
    def repro(self) -> Iterator[subprocess.Popen[bytes]]:
        """A running `dvc repro` in its own process group, with a log, as `make repro` starts it."""
        remove_damaged_lock(self.folder / ".dvc/tmp")
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "dvc", "repro"],
                cwd=self.folder,
                env=self.environment | {"PYTHONUNBUFFERED": "1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def running_stage(self) -> str:
        """The last stage named in the log; empty before the first."""
        found = re.findall(r"^Running stage '(\w+)'", self.log.read_text(errors="replace"), re.MULTILINE)
        return found[-1] if found else ""

    def finish(self) -> dict[str, float]:
        """Runs to the end; returns the seconds per stage."""
        seconds: Counter[str] = Counter()
        with self.repro() as process:
            while process.poll() is None:
                time.sleep(0.1)
                seconds[self.running_stage()] += 0.1
        assert process.returncode == 0, self.log.read_text()
        return dict(seconds)

    def kill_in(self, stage: str, delay: float) -> str:
        """Kills `dvc repro` and all below it `delay` seconds into `stage`; returns the stage that was hit.

        Empty if the run ended first.
        """
        with self.repro() as process:
            while process.poll() is None and self.running_stage() != stage:
                time.sleep(0.02)
            deadline = time.monotonic() + delay
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            if process.poll() is not None:
                assert process.returncode == 0, self.log.read_text()
                return ""
            hit = self.running_stage()
        assert process.returncode == -signal.SIGKILL
        return hit


def kill_stages(clone: Clone, kills: int, seconds: dict[str, float], moments: random.Random) -> Counter[str]:
    """Kills about `kills` times, in each stage at least once; returns the kills by the stage that was hit.

    Args:
        seconds: duration of each stage.
        moments: draws the moment of each kill.
    """
    hits: Counter[str] = Counter()
    for stage, weight in WEIGHTS.items():
        wanted = -(-kills * weight // sum(WEIGHTS.values()))
        while hits[stage] < wanted:
            # The first kill comes early, as a stage that has ended is not run again; a resumed stage may be short.
            delay = moments.uniform(0.0, (0.8 if hits[stage] else 0.5) * seconds[stage])
            hit = clone.kill_in(stage, delay)
            print(f"kill -9 {delay:.2f} s after the start of {stage}: hit {hit or 'nothing'}", flush=True)
            if hit:
                hits[hit] += 1
            if hit != stage:
                break
    return hits


@pytest.mark.fault(
    table="processes",
    case="SIGKILL at any moment",
    outcome="`dvc repro` resumes and ends with the same hashes (`make kill-test`)",
)
def test_killed_at_random_moments_the_pipeline_ends_with_the_same_hashes(repo: Path, tmp_path: Path) -> None:
    undisturbed = Clone(repo, tmp_path / "undisturbed")
    seconds = undisturbed.finish()
    assert set(seconds) >= set(WEIGHTS)
    print({stage: round(value, 1) for stage, value in seconds.items()}, flush=True)
    hashes = output_hashes(undisturbed.folder / "dvc.lock")
    assert len(hashes) >= len(WEIGHTS)

    moments = random.Random(SEED)
    hits: Counter[str] = Counter()
    while hits.total() < KILLS:  # in another clone if stages ended before their kills
        killed = Clone(repo, tmp_path / f"killed-{hits.total()}")
        hits += kill_stages(killed, KILLS - hits.total(), seconds, moments)
        killed.finish()
        assert differing(hashes, output_hashes(killed.folder / "dvc.lock")) == []
        left = [path.name for path in (killed.folder / ".fashionseg/resume").glob("*")]
        assert left == [], "a finished training must leave no state behind"
    print(dict(hits), flush=True)
    assert set(hits) == set(WEIGHTS)
