"""A stage's run: metrics, histories, tags and artifacts logged to the journal of the pipeline run."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.params import Params
from fashionseg.tracking.identity import RunIdentity, data_tags, identify, journal_folder, tracked_params
from fashionseg.tracking.journal import Journal, metric_points
from fashionseg.tracking.mirror import start_mirror
from fashionseg.tracking.scores import numeric_values, read_scores

FROM_CACHE_TAG = "history.from_cache"
CACHE = "cache"  # stage name in the journal of a run restored from DVC's cache


class StageRun:
    """Log of one stage in the pipeline run. Write errors are printed, not raised: a full disk must not end a stage."""

    def __init__(self, stage: str, journal: Journal) -> None:
        self._stage = stage
        self._journal = journal
        self._logged = {(point.name, point.step, point.value) for point in metric_points(journal.records())}

    def log_metrics(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Logs the numbers in `values`; other values, `epoch` and points already logged are skipped.

        Steps are epochs counted over both training stages, as in history.csv; scores of the finished run have step 0.
        `epoch` is the step and would be a separate chart in MLflow. Points already logged come from a resumed
        training that repeats an epoch.
        """
        named = numeric_values({key: value for key, value in values.items() if key != "epoch"})
        new = {key: value for key, value in named.items() if (key, step, value) not in self._logged}
        if new:
            self._logged |= {(key, step, value) for key, value in new.items()}
            self._append("metrics", stage=self._stage, step=step, values=new)

    def log_histories(self, heads: Path, finetuned: Path) -> None:
        """Logs the `history.csv` of both training stages, except for the points logged during training.

        A stage restored from DVC's cache logged nothing in this run; the tag `history.from_cache` names it.
        """
        from fashionseg.history import read_history  # imports pandas, which most stages do not need here

        live = {record["stage"] for record in self._journal.records() if record["kind"] == "metrics"}
        from_cache = []
        for name, stage, path in (("heads", "train_heads", heads), ("finetune", "finetune", finetuned)):
            if not path.exists():
                continue
            for row in read_history(path).to_dict("records"):
                step = int(row["epoch"])
                # By name and step: the file may hold fewer digits than the value logged live.
                known = {key for key, known_step, _ in self._logged if known_step == step}
                values = {str(key): value for key, value in row.items() if not _is_nan(value)}
                self.log_metrics({key: value for key, value in values.items() if key not in known}, step)
            if stage not in live:
                from_cache.append(name)
        if self._stage == CACHE:
            from_cache.append("evaluate")
        if from_cache:
            self.set_tags({FROM_CACHE_TAG: ",".join(from_cache)})

    def log_reports(self, reports: Path) -> None:
        """Logs the outputs of the stage `evaluate` in `reports`: scores, page, plots and pictures, where present."""
        self.log_metrics(read_scores(reports / "metrics.json"))
        for name in ("metrics.json", "thresholds.json", "report.html", "plots", "pictures"):
            path = reports / name
            if path.exists():
                self.log_artifacts(path, f"reports/{name}" if path.is_dir() else "reports")

    def log_artifacts(self, path: Path, folder: str = "") -> None:
        """Logs a file, or all files below a folder, as artifacts below `folder`."""
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            below = file.relative_to(path) if path.is_dir() else Path(file.name)
            try:
                self._journal.add_file(file, (Path(folder) / below).as_posix())
            except OSError as error:
                say(f"tracking: {file} was not logged: {error}")

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._append("tags", values={key: str(value) for key, value in tags.items()})

    def begin(self) -> None:
        self._append("begin", stage=self._stage, pid=os.getpid())

    def end(self, status: str) -> None:
        self._append("end", stage=self._stage, status=status)

    def _append(self, kind: str, **fields: Any) -> None:
        try:
            self._journal.append(kind, **fields)
        except OSError as error:
            say(f"tracking: the record was not logged: {error}")


@contextmanager
def stage_run(
    stage: str, params: Params, identity: RunIdentity | None = None, folder: Path = Path()
) -> Iterator[StageRun]:
    """Logs `stage` into the current pipeline run while the block runs.

    Args:
        identity: another run instead; its journal is written but not sent.
        folder: folder of the run's dvc.lock.
    """
    flat = tracked_params(params)
    is_sent = identity is None
    identity = identity or identify(flat)
    journal = _choose_journal(journal_folder(), identity.key, stage)
    name = identity.name + journal.folder.name.removeprefix(identity.key)
    run = StageRun(stage, journal)
    if not journal.path.exists():
        run._append(
            "run",
            key=journal.folder.name,
            name=name,
            experiment=params.tracking.experiment,
            params=flat,
            tags=identity.tags,
        )
    run.begin()
    run.set_tags({"stage": stage, **data_tags(folder)})
    with start_mirror(journal, name, params.tracking.uri) if is_sent else nullcontext():
        try:
            yield run
        except BaseException as error:
            run.end("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        else:
            run.end("FINISHED")


def log_outputs(folder: Path, params: Params, identity: RunIdentity) -> None:
    """Writes the journal of a finished pipeline run from its outputs in `folder`, as its stages would have.

    For runs in which no stage ran; they carry the tag `history.from_cache`.
    """
    with stage_run(CACHE, params, identity, folder) as run:
        heads, finetuned = (folder / "models" / name / "history.csv" for name in ("heads", "finetuned"))
        run.log_histories(heads, finetuned)
        run.log_reports(folder / "reports")


def _choose_journal(folder: Path, key: str, stage: str) -> Journal:
    """The latest journal of `key`, or a new one (`key.2`, ...) if `stage` has already finished in it.

    A stage that runs again with the same parameters and commit (`--force`, changed code) belongs to a new run; a
    stage resumed after a kill does not.
    """
    for attempt in itertools.count(1):
        suffix = f".{attempt}" if attempt > 1 else ""
        journal = Journal(folder / f"{key}{suffix}")
        following = Journal(folder / f"{key}.{attempt + 1}")
        if not following.path.exists() and not _has_finished(journal, stage):
            return journal
    raise AssertionError("unreachable")


def _has_finished(journal: Journal, stage: str) -> bool:
    return any(
        record["kind"] == "end" and record["stage"] == stage and record["status"] == "FINISHED"
        for record in journal.records()
    )


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
