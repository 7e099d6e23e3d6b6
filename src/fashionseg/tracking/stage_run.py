"""A stage's run: metrics, histories, tags and artifacts logged to the journal of the pipeline run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.params import Params
from fashionseg.tracking.identity import data_tags, identify, journal_folder, tracked_params
from fashionseg.tracking.journal import Journal, metric_points
from fashionseg.tracking.mirror import start_mirror
from fashionseg.tracking.scores import numeric_values, read_scores

HISTORIES = (Path("models/heads/history.csv"), Path("models/finetuned/history.csv"))
REPORTS = (  # in the folder reports
    "metrics.json",
    "photo_scores.csv",
    "thresholds.json",
    "report.html",
    "plots",
    "pictures",
)
CACHE = "cache"  # stage name in the journal of a run restored from DVC's cache


class StageRun:
    """Log of one stage in the pipeline run. Write errors are printed, not raised: a full disk must not end a stage."""

    def __init__(self, stage: str, journal: Journal) -> None:
        self.journal = journal
        self._stage = stage
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
            self.append("metrics", stage=self._stage, step=step, values=new)

    def log_histories(self, heads: Path, finetuned: Path) -> None:
        """Logs the `history.csv` of both training stages, except for the points logged during training.

        A stage restored from DVC's cache logged nothing in this run; the tag `history.from_cache` names it.
        """
        from fashionseg.history import read_history  # imports pandas, which most stages do not need here

        live = {record["stage"] for record in self.journal.records() if record["kind"] == "metrics"}
        from_cache = []
        for name, stage, path in (("heads", "train_heads", heads), ("finetune", "finetune", finetuned)):
            if not path.exists():
                continue
            for _, row in read_history(path).iterrows():
                step = int(row["epoch"])
                # By name and step: the file may hold fewer digits than the value logged live.
                known = {key for key, known_step, _ in self._logged if known_step == step}
                values = row.dropna().items()
                self.log_metrics({str(key): value for key, value in values if key not in known}, step)
            if stage not in live:
                from_cache.append(name)
        if self._stage == CACHE:
            from_cache.append("evaluate")
        if from_cache:
            self.append("tags", values={"history.from_cache": ",".join(from_cache)})

    def log_reports(self, reports: Path) -> None:
        """Logs the outputs of the stage `evaluate` in `reports`: scores, page, plots and pictures, where present."""
        self.log_metrics(read_scores(reports / "metrics.json"))
        for path in (reports / name for name in REPORTS):
            if path.exists():
                self.log_artifacts(path, f"reports/{path.name}" if path.is_dir() else "reports")

    def log_artifacts(self, path: Path, folder: str = "") -> None:
        """Logs a file, or all files below a folder, as artifacts below `folder`."""
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            below = file.relative_to(path) if path.is_dir() else Path(file.name)
            try:
                self.journal.add_file(file, (Path(folder) / below).as_posix())
            except OSError as error:
                say(f"tracking: {file} was not logged: {error}")

    def append(self, kind: str, **fields: Any) -> None:
        """Adds one record to the journal."""
        try:
            self.journal.append(kind, **fields)
        except OSError as error:
            say(f"tracking: the record was not logged: {error}")


@contextmanager
def stage_run(
    stage: str,
    params: Params,
    folder: Path = Path(),
    experiment: str = "",
    commit: str = "",
    *,
    is_sent: bool = True,
) -> Iterator[StageRun]:
    """Logs `stage` into its pipeline run, by default the current one, while the block runs.

    Args:
        folder: folder of the run's dvc.lock.
        experiment, commit: of another run (`identify`).
        is_sent: whether the journal is sent to MLflow as well as written.
    """
    flat = tracked_params(params)
    identity = identify(flat, experiment, commit)
    journal = _choose_journal(journal_folder() / identity.key, stage)
    name = identity.name + journal.folder.name.removeprefix(identity.key)
    run = StageRun(stage, journal)
    if not journal.path.exists():
        run.append(
            "run",
            key=journal.folder.name,
            name=name,
            experiment=params.tracking.experiment,
            params=flat,
            tags=identity.tags,
        )
    run.append("begin", stage=stage, pid=os.getpid())
    run.append("tags", values={"stage": stage, **data_tags(folder)})
    with start_mirror(journal, name, params.tracking.uri) if is_sent else nullcontext():
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            run.append("end", stage=stage, status=status)


def log_outputs(folder: Path, params: Params, experiment: str = "", commit: str = "") -> Journal:
    """Writes the journal of a finished pipeline run from its outputs in `folder`, as its stages would have.

    For runs in which no stage ran; they carry the tag `history.from_cache`.
    """
    with stage_run(CACHE, params, folder, experiment, commit, is_sent=False) as run:
        run.log_histories(*(folder / path for path in HISTORIES))
        run.log_reports(folder / "reports")
    return run.journal


def _choose_journal(folder: Path, stage: str) -> Journal:
    """The latest journal in `folder`, `folder`.2, ..., or a new one if `stage` has already finished in it.

    A stage that runs again with the same parameters and commit (`--force`, changed code) belongs to a new run; a
    stage resumed after a kill does not.
    """
    journals = (Journal(folder.with_name(f"{folder.name}.{number}")) for number in itertools.count(2))
    journal = Journal(folder)
    for following in journals:
        ends = [
            record for record in journal.records() if record["kind"] == "end" and record["stage"] == stage
        ]
        if not following.path.exists() and all(end["status"] != "FINISHED" for end in ends):
            break
        journal = following
    return journal
