"""Two `dvc repro` in one checkout, and outputs with strange dates."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

STAGE = """
import sys, time
from pathlib import Path
from fashionseg.storage.atomic import atomic_write
with atomic_write(Path("out")) as temporary:
    with temporary.open("w") as file:
        file.write("half ")
        file.flush()
        Path("running").touch()
        while Path("hold").exists(): time.sleep(0.02)
        file.write("whole")
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """One stage that waits while a file `hold` is there."""
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text(
        f"stages:\n  slow:\n    cmd: {sys.executable} stage.py\n    deps: [stage.py]\n    outs: [out]\n"
    )
    start(tmp_path, "init", "--no-scm", "-q").communicate()
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(folder / "site"), "DVC_NO_ANALYTICS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.fault(
    table="processes",
    case="two `dvc repro` at the same time",
    outcome="DVC refuses the second in one line; the first completes",
)
def test_a_second_repro_is_refused_in_one_line_and_changes_nothing(pipeline: Path) -> None:
    (pipeline / "hold").touch()
    first = start(pipeline, "repro")
    deadline = time.monotonic() + 120
    while not (pipeline / "running").exists():
        assert first.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    second = start(pipeline, "repro")
    said = second.communicate(timeout=120)[0]
    assert second.returncode != 0
    assert "busy" in said or "lock" in said, said
    assert "Traceback" not in said
    assert not (pipeline / "out").exists()
    (pipeline / "hold").unlink()
    first.communicate(timeout=120)
    assert first.returncode == 0
    assert (pipeline / "out").read_text() == "half whole"

    os.utime(pipeline / "out", (4_102_531_200,) * 2)  # 2100
    os.utime(pipeline / "stage.py", (315_619_200,) * 2)  # 1980
    again = start(pipeline, "repro")
    assert "didn't change" in again.communicate(timeout=120)[0]
