"""Outputs that are whole or not there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from fashionseg.storage.atomic import atomic_directory


def test_leftovers_of_killed_writers_are_deleted_and_running_writers_are_not_disturbed(
    tmp_path: Path,
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    names = [f".state.{ended.pid}.part", f".state.{os.getppid()}.part", f".other.{ended.pid}.part"]
    for name in names:
        (tmp_path / name).mkdir()
    with atomic_directory(tmp_path / "state") as temporary:
        (temporary / "a").write_text("new")
    assert (tmp_path / "state/a").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[1:], "state"])
