"""What the two training stages share: data in, training, model folder out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fashionseg import tracking
from fashionseg.console import say
from fashionseg.data.loader import TrainingBatches, validation_batches
from fashionseg.data.splits import read_split
from fashionseg.history import HISTORY_FILE, SUMMARY_FILE, read_history
from fashionseg.model.folder import save_network
from fashionseg.params import Params, Train, TrainingStage, to_dict
from fashionseg.storage.atomic import atomic_write
from fashionseg.storage.fingerprint import fingerprint, resume_folder
from fashionseg.taxonomy import competition_taxonomy
from fashionseg.training import train
from fashionseg.training.hardware import choose_loader
from fashionseg.training.loop import write_history
from fashionseg.training.state import TrainingState

if TYPE_CHECKING:
    from fashionseg.model.api import Network

CODE = ("data", "model", "ops", "training")  # a state of other code is not resumed


def run_training(
    stage: str,
    params: Params,
    train_settings: Train,
    settings: TrainingStage,
    network: Network,
    first_epoch: int,
    decoded: Path,
    splits: Path,
    inputs: list[Path],
    out: Path,
) -> None:
    """Trains `network` and writes weights, architecture, history and summary into `out`.

    Args:
        train_settings: `params.train` with what the hardware decides.
        settings: epochs and learning rate of this stage.
        first_epoch: epochs of the stages before.
        inputs: files and folders that, with params.yaml, decide the result: they key the resumable state.
    """
    batch_size = params.train.batch_size
    training_ids, validation_ids = read_split(splits)
    loader = choose_loader(params.loader)

    def make_batches(start_epoch: int) -> TrainingBatches:
        return TrainingBatches(
            decoded,
            training_ids,
            params.model.image_size,
            params.sampling,
            params.augment,
            loader,
            batch_size,
            seed=params.seed + first_epoch,
            start_epoch=start_epoch,
        )

    def make_validation() -> Iterable[dict[str, Any]]:
        return validation_batches(
            decoded, validation_ids, params.model.image_size, params.sampling, batch_size
        )

    key = fingerprint(_deciding_params(params, stage), inputs, CODE)
    state = TrainingState(resume_folder(stage, key))
    with tracking.stage_run(stage, params) as run:

        def log_epoch(row: dict[str, Any]) -> None:
            run.log_metrics(row, step=row["epoch"])

        result = train(
            network,
            stage,
            train_settings,
            settings.epochs,
            settings.learning_rate,
            first_epoch,
            make_batches,
            make_validation,
            state,
            log_epoch,
        )
    save_network(network, params.model, competition_taxonomy().category_names, out)
    write_history(result.history, out / HISTORY_FILE)
    summary = {
        "stage": stage,
        "epochs": settings.epochs,
        "best_epoch": result.best_epoch,
        "val_loss": result.best_loss,
    }
    with atomic_write(out / SUMMARY_FILE) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    state.delete()
    say(f"{stage}: best epoch {result.best_epoch} (validation loss {result.best_loss:.4f}) -> {out}")


def _deciding_params(params: Params, stage: str) -> dict[str, Any]:
    """The values that decide the result of a training stage."""
    values = to_dict(params)
    train = values["train"]
    others = {"train_heads": "finetune", "finetune": "heads"}
    del train[others[stage]]
    return {name: values[name] for name in ("seed", "model", "sampling", "augment", "train")}


def read_history_length(directory: Path) -> int:
    """Epochs in the history of a training stage's folder."""
    return len(read_history(directory / HISTORY_FILE))
