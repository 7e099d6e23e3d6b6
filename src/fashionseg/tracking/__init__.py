"""Experiment tracking: stages log to a local journal, which is mirrored to MLflow.

    with tracking.stage_run("finetune", params) as run:
        run.log_metrics({"loss": ..., "val_loss": ...}, step=epoch)

All stages of one pipeline run (`dvc repro`, `dvc exp run`, queued and temporary experiments) share one MLflow run
(`identity`). A stage only appends lines to a local file (`journal`); a second process sends them to MLflow (`mirror`),
so a missing, slow or dead server neither stops nor delays a stage. Records that could not be sent stay in the journal
for `fashionseg import-journals`. Only `mlflow_store` and `fashionseg.registry` import MLflow.
"""

from fashionseg.tracking.stage_run import StageRun, stage_run

__all__ = ["StageRun", "stage_run"]
