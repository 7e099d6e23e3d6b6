"""Tracking: what a stage tells about itself goes to a journal first, and from there to MLflow.

    with tracking.stage_run("finetune", params) as run:
        run.log_metrics({"loss": ..., "val_loss": ...}, step=epoch)

All stages of one pipeline run (`dvc repro`, `dvc exp run`, queued and temporary experiments) land in one MLflow run
(`identity`). The stage only ever appends lines to a local file (`journal`); a second process reads them and sends
them on (`mirror`), so a missing, hanging or dead server neither stops nor slows a stage. What did not arrive stays in
the journal for `fashionseg import-journals`. Only `mlflow_store` and `fashionseg.registry` import
MLflow.
"""

from fashionseg.tracking.stage_run import StageRun, stage_run

__all__ = ["StageRun", "stage_run"]
