"""The journal of one run: a folder with `journal.jsonl`, one record per line, and copies of the files to log.

Records are only appended, each in one write, so that a kill leaves at most one unfinished line at the end, which
readers skip. Kinds of records, each with `time` in milliseconds since 1970:

    run       key, name, experiment, params, tags                    the first line
    begin     stage, pid
    metrics   stage, step, values
    tags      values
    file      path: below `files/`, and below the run's artifacts
    end       stage, status: FINISHED | FAILED | KILLED
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from fashionseg.storage.atomic import atomic_write
from fashionseg.storage.file_lock import file_lock

Record = dict[str, Any]


@dataclass(frozen=True)
class Journal:
    """The journal in `folder`, which is created with the first record."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def files(self) -> Path:
        return self.folder / "files"

    def append(self, kind: str, **fields: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        record = {"kind": kind, "time": time.time_ns() // 1_000_000, **fields}
        line = (json.dumps(record, sort_keys=True) + "\n").encode()
        with self.path.open("ab+") as file:
            if file.seek(0, 2) > 0:
                file.seek(-1, 2)
                if file.read(1) != b"\n":  # a killed stage left an unfinished line: end it first
                    line = b"\n" + line
            file.write(line)

    def read(self, offset: int = 0) -> tuple[list[Record], int]:
        """Records of the complete lines from byte `offset`, and the offset after them; unreadable lines are skipped."""
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                text = file.read()
        except FileNotFoundError:
            return [], offset
        complete = text[: text.rfind(b"\n") + 1]
        records = []
        for line in complete.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "kind" in record:
                records.append(record)
        return records, offset + len(complete)

    def records(self) -> list[Record]:
        return self.read()[0]

    def header(self) -> Record:
        """The `run` record: key, name, experiment, parameters and tags; empty while it is missing."""
        return next((record for record in self.records() if record["kind"] == "run"), {})

    def add_file(self, source: Path, path: str) -> None:
        """Copies `source` (the folder of a temporary experiment is deleted at its end) and records it as `path`."""
        # Atomic, because the mirror may be sending the previous copy.
        with atomic_write(self.files / PurePosixPath(path)) as temporary:
            shutil.copyfile(source, temporary)
        self.append("file", path=path)

    def exclusive(self, patience_seconds: float = 0.0) -> AbstractContextManager[bool]:
        """The lock for sending this journal to MLflow (`file_lock`)."""
        return file_lock(self.folder / "lock", patience_seconds)


class Point(NamedTuple):
    """One value of a metric; `time` in milliseconds since 1970."""

    name: str
    step: int
    value: float
    time: int


def metric_points(records: Iterable[Record]) -> Iterator[Point]:
    """All values in the `metrics` records, in the order they were logged."""
    for record in records:
        if record["kind"] == "metrics":
            for name, value in record["values"].items():
                yield Point(name, record["step"], value, record["time"])


def last_event(records: list[Record]) -> Record | None:
    """The last `begin` or `end` record."""
    return next((record for record in reversed(records) if record["kind"] in ("begin", "end")), None)


def stored_journals(folder: Path) -> list[Journal]:
    """All journals below `folder`, by name."""
    return [Journal(path.parent) for path in sorted(folder.glob("*/journal.jsonl"))]
