"""Helpers of the tracking tests: stages that log metrics, and readers of their journals."""

from __future__ import annotations

from pathlib import Path

from fashionseg import tracking
from fashionseg.params import load_params
from fashionseg.tracking.journal import Journal, metric_points, stored_journals

HISTORY_HEADS = "epoch,stage,loss,val_loss\n1,heads,2.0,3.0\n2,heads,1.5,2.5\n"
HISTORY_FINETUNED = "epoch,stage,loss,val_loss\n3,finetune,1.0,2.0\n"


def journals(project: Path) -> list[Journal]:
    return stored_journals(project / ".fashionseg" / "journal")


def only_journal(project: Path) -> Journal:
    (journal,) = journals(project)
    return journal


def points(journal: Journal) -> list[tuple[str, int, float]]:
    return [(point.name, point.step, point.value) for point in metric_points(journal.records())]


def log_stage(stage: str, *epochs: tuple[int, float]) -> None:
    with tracking.stage_run(stage, load_params()) as run:
        for epoch, loss in epochs:
            run.log_metrics({"loss": loss}, step=epoch)


def write_histories(project: Path) -> tuple[Path, Path]:
    heads, finetuned = project / "heads.csv", project / "finetuned.csv"
    heads.write_text(HISTORY_HEADS)
    finetuned.write_text(HISTORY_FINETUNED)
    return heads, finetuned
