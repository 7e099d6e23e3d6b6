"""A full disk, a limit on file sizes, a read-only folder: one line, and what was there before stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fashionseg.console import exit_code
from fashionseg.storage.atomic import atomic_directory, atomic_write
from fashionseg.storage.disk import full_disk_names

WRITERS = Path(__file__).with_name("writers.py")
OUTPUTS = 14
# As root, or as an ordinary user who may have namespaces of his own.
NAMESPACES = (["unshare", "-m"], ["unshare", "-rm"])


def own_mounts(folder: Path) -> list[str]:
    """The words before a command that mounts a small disk at $1 and runs the rest; none where nobody may mount."""
    script = 'mount -t tmpfs -o size=256m none "$1" && shift && exec "$@"'
    for unshare in NAMESPACES if shutil.which("unshare") else ():
        words = [*unshare, "sh", "-c", script, "sh", str(folder)]
        if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
            return words
    return []


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What became of each output in each mode; one process, as its imports take longer than all the writing."""
    disk = tmp_path_factory.mktemp("storage") / "disk"
    disk.mkdir()
    before = own_mounts(disk)
    modes = ["limit", "disk", "read-only"] if before else ["limit"]
    command = [*before, sys.executable, str(WRITERS), str(disk), *modes]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(results: list[dict[str, Any]], mode: str, words: str) -> None:
    """Every output was refused in one line at least once, and none was harmed."""
    tried = [result for result in results if result["mode"] == mode]
    if not tried:
        pytest.skip("no mount namespace: neither root nor allowed to have user namespaces")
    failed = [result for result in tried if result["status"] != 0]  # a small file may fit into the room
    assert len({result["output"] for result in failed}) == OUTPUTS
    for result in failed:
        assert result["status"] == 2, result
        assert result["said"].startswith("error: ") and result["said"].count("\n") == 1, result
        assert words in result["said"], result
        assert result["same"], f"{result['output']}: {result['left']}"


@pytest.mark.fault(
    table="disk",
    case="disk full or over quota, at any write",
    outcome="`PATH: disk full`; each of 14 kinds of output keeps its previous content, nothing half-written remains",
)
def test_a_full_disk_is_one_line_for_every_output_and_leaves_no_partial_file(
    results: list[dict[str, Any]],
) -> None:
    check(results, "disk", "disk full")


@pytest.mark.fault(table="disk", case="files may not grow (`ulimit -f`, file system)", outcome="the same")
def test_a_file_that_may_not_grow_is_one_line_too(results: list[dict[str, Any]]) -> None:
    check(results, "limit", "file too large")


@pytest.mark.fault(table="disk", case="read-only folder", outcome="one line that names it")
def test_a_read_only_folder_is_one_line_that_names_it(results: list[dict[str, Any]]) -> None:
    check(results, "read-only", "Read-only file system")
    named = [result["said"] for result in results if result["mode"] == "read-only"]
    assert all("/disk/" in said for said in named)


@pytest.mark.fault(table="disk", case="a device that refuses every byte", outcome="the same")
def test_a_device_that_is_full_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Works everywhere: /dev/full refuses every byte."""

    def write() -> None:
        with full_disk_names(Path("out")), Path("/dev/full").open("wb") as file:
            file.write(b"x")

    assert exit_code(write) == 2
    assert capsys.readouterr().err == (
        "error: out: disk full (No space left on device); "
        "earlier outputs are unchanged; free some space and run again\n"
    )


@pytest.mark.parametrize("error", [RuntimeError("in the network"), OSError(5, "Input/output error")])
def test_other_errors_stay_as_they_are(error: Exception, tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_write(tmp_path / "a"):
            raise error

    with pytest.raises(type(error)) as raised:
        exit_code(fail)
    assert raised.value is error


@pytest.mark.fault(table="disk", case="power cut", outcome="bytes reach the disk before their name does")
def test_bytes_reach_the_disk_before_the_name_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        order.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real_fsync(descriptor)

    def replace(self: Path, target: Path) -> Path:
        order.append(f"name {Path(target).name}")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    temporary = f".file.{os.getpid()}.part"
    with atomic_write(tmp_path / "file") as path:
        path.write_text("new")
    assert order == [f"sync {temporary}", "name file", f"sync {tmp_path.name}"]

    order.clear()
    temporary = f".folder.{os.getpid()}.part"
    with atomic_directory(tmp_path / "folder") as path:
        (path / "a").write_text("new")
    assert order == [f"sync {temporary}", "sync a", "name folder", f"sync {tmp_path.name}"]


def test_a_folder_is_replaced_by_renaming_and_never_partly_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "state"
    for number in range(3):
        (folder / str(number)).mkdir(parents=True)
    deleted: list[str] = []
    real = shutil.rmtree
    monkeypatch.setattr(
        shutil, "rmtree", lambda path, **how: (deleted.append(Path(path).name), real(path, **how))
    )
    with atomic_directory(folder) as path:
        (path / "new").write_text("")
    assert folder.name not in deleted
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert [path.name for path in folder.iterdir()] == ["new"]
