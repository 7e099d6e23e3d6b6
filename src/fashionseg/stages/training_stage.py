"""What the two training stages share: data and initial weights in, training, model folder out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashionseg import tracking
from fashionseg.backend import shared_between
from fashionseg.console import say
from fashionseg.data.loader import TrainingBatches, validation_batches
from fashionseg.data.poses import poses_of
from fashionseg.data.splits import read_split
from fashionseg.history import HISTORY_FILE, SUMMARY_FILE
from fashionseg.model.api import Network
from fashionseg.model.folder import save_network
from fashionseg.model.networks import build_network
from fashionseg.params import Params, changed, to_dict
from fashionseg.pose.model_files import IN_MODEL_FOLDER, IN_POSE_FOLDER, copy_pose_model
from fashionseg.stages.last_training import explain_restart
from fashionseg.stages.validation_score import scoring_inference, validation_score
from fashionseg.storage.atomic import atomic_write
from fashionseg.storage.fingerprint import fingerprint, resume_folder
from fashionseg.taxonomy import read_taxonomy
from fashionseg.training.hardware import choose_training
from fashionseg.training.loop import TrainingResult, train, write_history
from fashionseg.training.network import set_compute_type
from fashionseg.training.stage import Stage
from fashionseg.training.state import TrainingState

CODE = (
    "data",
    "detections",
    "metrics",
    "model",
    "ops",
    "pose",
    "training",
)  # a state of other code is not resumed


@dataclass(frozen=True)
class Folders:
    """Inputs and output of a training stage; with params.yaml the inputs decide the result, so they key its state.

    Attributes:
        decoded, splits, pose: the data.
        initial: where the initial weights come from.
        out: the model folder.
    """

    decoded: Path
    splits: Path
    pose: Path
    initial: Path
    out: Path


def run_training(
    stage: Stage, params: Params, folders: Folders, load_initial: Callable[[Network, Path], None]
) -> None:
    """Builds the network, trains it, and writes weights, architecture, history and summary.

    Args:
        load_initial: loads the weights of `folders.initial`.
    """
    params = changed(params, train=choose_training(params.train))
    set_compute_type(params.train.mixed_precision is True)
    taxonomy = read_taxonomy(folders.decoded)
    parts = {
        "params": deciding_params(params, stage.name),
        "inputs": {
            path.as_posix(): fingerprint({}, [path])
            for path in (folders.decoded, folders.splits, folders.pose, folders.initial)
        },
        "code": fingerprint({}, [], CODE),
    }
    state = TrainingState(resume_folder(stage.name, fingerprint(parts, [])))
    if not state.epochs_done:
        explain_restart(stage.name, parts)
    with shared_between(params.train.num_devices):
        network = build_network(
            params.model,
            taxonomy.num_categories,
            scoring_inference(params.sampling),
            params.sampling,
            taxonomy.category_groups,
        )
        load_initial(network, folders.initial)
        result = _train(network, stage, params, folders, state)
    save_network(network, params.model, taxonomy.category_names, folders.out)
    if network.takes_pose:
        copy_pose_model(folders.pose / IN_POSE_FOLDER, folders.out / IN_MODEL_FOLDER)
    write_history(result.history, folders.out / HISTORY_FILE)
    summary = {
        "stage": stage.name,
        "epochs": stage.epochs,
        "best_epoch": result.best_epoch,
        "val_loss": result.best_loss,
    }
    shown = f"validation loss {result.best_loss:.4f}"
    if result.best_score is not None:
        summary["val_score"] = result.best_score
        shown = f"validation score {result.best_score:.4f}, {shown}"
    with atomic_write(folders.out / SUMMARY_FILE) as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    state.delete()
    say(f"{stage.name}: best epoch {result.best_epoch} ({shown}) -> {folders.out}")


def _train(
    network: Network, stage: Stage, params: Params, folders: Folders, state: TrainingState
) -> TrainingResult:
    """Trains on the decoded photos; each epoch is logged."""
    decoded, side, batch_size = folders.decoded, params.model.image_size, params.train.batch_size
    training_ids, validation_ids = read_split(folders.splits)
    training_poses, validation_poses = (
        poses_of(folders.pose, "train", ids) if network.takes_pose else None
        for ids in (training_ids, validation_ids)
    )

    def make_batches(start_epoch: int) -> TrainingBatches:
        return TrainingBatches(
            decoded,
            training_ids,
            side,
            params.sampling,
            params.augment,
            params.loader,
            batch_size,
            seed=params.seed + stage.epochs_before + stage.epochs_seen,
            start_epoch=start_epoch,
            poses=training_poses,
        )

    score = None
    if params.train.best_epoch == "score":
        score = validation_score(network, decoded, validation_ids, batch_size, validation_poses)
    with tracking.stage_run(stage.name, params) as run:
        return train(
            network,
            stage,
            params.train,
            make_batches,
            validation_batches(decoded, validation_ids, side, params.sampling, batch_size, validation_poses),
            state,
            lambda row: run.log_metrics(row, step=row["epoch"]),
            score,
        )


def deciding_params(params: Params, stage: str) -> dict[str, Any]:
    """The values that decide the result of a training stage.

    Args:
        params: with `auto` replaced: a state in bfloat16 is not resumed in float32.
    """
    values = to_dict(params)
    del values["train"][{"train_heads": "finetune", "finetune": "heads"}[stage]]
    return {name: values[name] for name in ("seed", "model", "sampling", "augment", "train")}
