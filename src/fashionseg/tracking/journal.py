"""The journal of one run: a folder with `journal.jsonl`, one record a line, and copies of the files to log.

Records are only appended, each in one write, so that a kill leaves at most one unfinished line at the end, which
readers skip. Kinds of records, each with `time` in milliseconds since 1970:

    run       key, name, experiment, params, tags                    the first line
    begin     stage, pid
    metrics   stage, step, values
    tags      values
    file      path: below `files/` and, as it is, below the run's artifacts
    end       stage, status: FINISHED | FAILED | KILLED
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from fashionseg.storage.atomic import atomic_write

Record = dict[str, Any]


@dataclass(frozen=True)
class Journal:
    """The journal in `folder`, which appears with the first record."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def append(self, kind: str, **fields: Any) -> None:
        """Adds one record."""
        self.folder.mkdir(parents=True, exist_ok=True)
        record = {"kind": kind, "time": time.time_ns() // 1_000_000, **fields}
        line = (json.dumps(record, sort_keys=True) + "\n").encode()
        with self.path.open("ab+") as file:
            if file.seek(0, 2) > 0:
                file.seek(-1, 2)
                if (
                    file.read(1) != b"\n"
                ):  # a killed stage left half a line: end it, so that ours stays readable
                    line = b"\n" + line
            file.write(line)

    def read(self, offset: int = 0) -> tuple[list[Record], int]:
        """The whole lines from byte `offset` on, and the offset behind them; an unreadable line is skipped."""
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                text = file.read()
        except FileNotFoundError:
            return [], offset
        whole = text[: text.rfind(b"\n") + 1]
        records = []
        for line in whole.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "kind" in record:
                records.append(record)
        return records, offset + len(whole)

    def records(self) -> list[Record]:
        """Everything so far."""
        return self.read()[0]

    def add_file(self, source: Path, path: str) -> None:
        """Keeps a copy of `source` (a temporary experiment's folder vanishes at its end) and notes it as `path`."""
        # Whole or not at all: the mirror may send the earlier copy at this moment.
        with atomic_write(self.files / PurePosixPath(path)) as temporary:
            shutil.copyfile(source, temporary)
        self.append("file", path=path)

    @contextmanager
    def exclusive(self, patience_seconds: float = 0.0) -> Iterator[bool]:
        """Holds the right to send this journal to MLflow; yields False when another process has it for so long."""
        self.folder.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + patience_seconds
        with (self.folder / "lock").open("w") as lock:
            while not (is_ours := _try_lock(lock)) and time.monotonic() < deadline:
                time.sleep(0.2)
            yield is_ours


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def stored_journals(folder: Path) -> list[Journal]:
    """All journals below `folder`, by name."""
    return [Journal(path.parent) for path in sorted(folder.glob("*/journal.jsonl"))]
