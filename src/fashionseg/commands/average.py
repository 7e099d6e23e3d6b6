"""`fashionseg average RUN RUN ... [--out DIR]`: the mean of the weights of models of one architecture.

1. Read the model of each run and average the weights.
2. Where batch norm is trained, estimate its statistics anew on training photos.
3. Predict the validation and test photos, score, and write a run that `compare`, `ensemble` and `predict` take.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from fashionseg.console import EXIT_FAULT, say
from fashionseg.errors import UserError
from fashionseg.project import load_project

OUT = Path("averaged")
MODEL = "model"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="`workspace`, a model folder, a DVC experiment or a Git revision",
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder to write, replaced as a whole [{OUT}]")


def run(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if len(set(arguments.runs)) != len(arguments.runs) or len(arguments.runs) < 2:
        raise UserError(f"expected at least two different runs, got {' '.join(arguments.runs)}")
    root, params = load_project()
    out = arguments.out

    from fashionseg.experiments.fused_run import (
        describe_submission,
        refuse_other_folder,
        score_run,
        write_run,
    )

    refuse_other_folder(out)

    from fashionseg.backend import make_reproducible
    from fashionseg.data.loader import TrainingBatches
    from fashionseg.data.poses import poses_of
    from fashionseg.data.splits import read_split
    from fashionseg.data.tables import read_photos
    from fashionseg.detections.inference import load_detector, predict_records
    from fashionseg.detections.store import no_detections
    from fashionseg.experiments.average import average_models, find_model
    from fashionseg.experiments.ensemble import Member
    from fashionseg.model.folder import save_network
    from fashionseg.pose.model_files import IN_MODEL_FOLDER
    from fashionseg.storage.atomic import atomic_directory
    from fashionseg.storage.json_file import write_json
    from fashionseg.taxonomy import read_taxonomy
    from fashionseg.training.hardware import choose_training
    from fashionseg.training.statistics import estimate_statistics, num_batches

    make_reproducible(params.seed, params.train.deterministic)
    decoded, pose = root / "data/decoded", root / "data/pose"
    training_ids, validation_ids = read_split(root / "data/splits")
    test_ids = read_photos(decoded, "test")["image_id"].tolist()
    folders = {name: find_model(root, name) for name in arguments.runs}
    network, model, names = average_models(
        folders, params.inference, params.sampling, read_taxonomy(decoded).category_groups
    )
    if model.batch_norm.backbone or model.batch_norm.heads:
        momentum = model.batch_norm.momentum
        say(f"average: estimating batch norm's statistics on {num_batches(momentum)} training batches")
        batches = TrainingBatches(
            decoded,
            training_ids,
            model.image_size,
            params.sampling,
            params.augment,
            params.loader,
            choose_training(params.train).batch_size,
            seed=params.seed,
            poses=poses_of(pose, "train", training_ids) if network.takes_pose else None,
        )
        try:
            estimate_statistics(network, batches, momentum)
        finally:
            batches.close()
    with atomic_directory(out) as temporary:
        save_network(network, model, names, temporary / MODEL)
        first = next(iter(folders.values()))
        if network.takes_pose:
            shutil.copytree(first / IN_MODEL_FOLDER, temporary / MODEL / IN_MODEL_FOLDER)
        detector = load_detector(temporary / MODEL, params.inference, params.train.num_devices)
        found = []
        for subset, ids in (("train", validation_ids), ("test", test_ids)):
            poses = poses_of(pose, subset, ids) if network.takes_pose else None
            found.append(
                predict_records(detector, decoded, subset, ids, params.predict.batch_size, poses)
                if ids
                else no_detections([])
            )
        scored = score_run(Member(str(out), *found), root, params.evaluate)
        write_run(temporary, scored, root, params.evaluate)
        write_json(temporary / "average.json", {"runs": arguments.runs})
    say(str(scored))
    say(
        f"the mean of {len(folders)} models -> {out / MODEL}; `fashionseg compare {arguments.runs[0]} {out}` compares"
    )
    line, is_valid = describe_submission(out, scored.member, root)
    say(line)
    return 0 if is_valid else EXIT_FAULT
