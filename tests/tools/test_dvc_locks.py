"""DVC's lock file, half written: removed, unless a running DVC is writing it."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

import pytest
from tools.commands.dvc_locks import remove_damaged_lock


@pytest.mark.parametrize("content", ["", '{"read": {', "\x00"], ids=["empty", "cut short", "zeros"])
@pytest.mark.fault(
    table="processes",
    case="`kill -9` while DVC writes its lock file (it then refuses every command: RWLock-file corrupted)",
    outcome="the next `make repro` removes the half-written file, says so, and goes on",
)
def test_a_half_written_lock_is_removed(tmp_path: Path, content: str) -> None:
    (tmp_path / "rwlock").write_text(content)
    assert remove_damaged_lock(tmp_path)
    assert not (tmp_path / "rwlock").exists()


def test_a_whole_lock_and_none_stay_as_they_are(tmp_path: Path) -> None:
    assert not remove_damaged_lock(tmp_path / "nowhere")
    assert not remove_damaged_lock(tmp_path)
    (tmp_path / "rwlock").write_text(json.dumps({"read": {}, "write": {}}))
    assert not remove_damaged_lock(tmp_path)
    assert (tmp_path / "rwlock").exists()


def test_a_lock_that_is_being_written_stays(tmp_path: Path) -> None:
    (tmp_path / "rwlock").write_text("")
    with (tmp_path / "rwlock.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        assert not remove_damaged_lock(tmp_path)
    assert (tmp_path / "rwlock").exists()
