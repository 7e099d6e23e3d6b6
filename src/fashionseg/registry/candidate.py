"""Registration candidate: model folder, thresholds, serving configuration, scores and the hash of their data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fashionseg.data.rle import format_rle
from fashionseg.data.splits import read_split
from fashionseg.data.truths import read_truths
from fashionseg.detections.thresholds import read_thresholds
from fashionseg.errors import UserError
from fashionseg.params import Params, to_dict
from fashionseg.storage.json_file import read_json
from fashionseg.tracking.dvc_lock import LOCK, dvc_md5, locked_hashes, locked_stages
from fashionseg.tracking.scores import SCORE, read_scores


@dataclass(frozen=True)
class Candidate:
    """A model to register.

    Attributes:
        model: folder written by the fine-tuning.
        thresholds: file written by the calibration.
        config: from `serving_config`.
        metrics: numbers of reports/metrics.json by dotted name.
        data_hash: hash of the validation photos, their ground truth and the label; scores with equal hashes are
            comparable.
        model_hash: hash of weights, architecture, thresholds and configuration.
    """

    model: Path
    thresholds: Path
    config: dict[str, Any]
    metrics: dict[str, float]
    data_hash: str
    model_hash: str

    @property
    def score(self) -> float:
        """The out-of-fold competition score."""
        return self.metrics[SCORE]


@dataclass(frozen=True)
class Champion:
    """The version with the alias `champion`; `score` and `data_hash` as in `Candidate`."""

    version: str
    score: float
    data_hash: str


def serving_config(params: Params) -> dict[str, Any]:
    """Parameters of `photo_model` that are in neither the model folder nor the thresholds."""
    return {"max_megapixels": params.decode.max_megapixels, "inference": to_dict(params.inference)}


def read_candidate(root: Path, config: dict[str, Any]) -> Candidate:
    """The trained model of the project in `root`.

    Raises:
        UserError: a file is missing, or the scores belong to another model.
    """
    model, reports = root / "models/finetuned", root / "reports"
    metrics, thresholds = reports / "metrics.json", reports / "thresholds.json"
    scores = read_scores(metrics)
    if SCORE not in scores:
        raise UserError(f"{metrics}: expected a number {SCORE}, found none; run `dvc repro`")
    read_thresholds(thresholds)
    files = (model / "model.weights.h5", model / "model.json", thresholds)
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such file; run `dvc repro` or `dvc pull`")
    # A `dvc repro` stopped before the evaluation leaves a new model with the scores of the previous one.
    evaluated = locked_hashes(locked_stages(root).get("evaluate", {}))
    for path in (model, metrics):
        if evaluated.get(path.relative_to(root).as_posix()) != dvc_md5(path):
            raise UserError(f"{path}: differs from the version evaluated in {LOCK}; run `dvc repro`")
    label = read_json(metrics, "run `dvc repro`").get("label", "category")
    data_hash = truth_hash(root / "data/decoded", root / "data/splits", str(label))
    model_hash = hashlib.blake2b(json.dumps(config, sort_keys=True).encode(), digest_size=16)
    for path in files:
        model_hash.update(hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
    return Candidate(model, thresholds, config, scores, data_hash, model_hash.hexdigest())


def verdict(candidate: Candidate, champion: Champion | None) -> tuple[bool, str]:
    """Whether the candidate becomes the champion, and the reason.

    The first model does. After that, a model needs a higher out-of-fold competition score on the same validation
    photos and ground truth; scores on other data are not comparable.
    """
    if champion is None:
        return True, f"champion: first model, score {candidate.score:.4f}"
    if candidate.data_hash != champion.data_hash:
        return False, f"champion remains version {champion.version}: scored on other data, not comparable"
    scores = f"score {candidate.score:.4f}, version {champion.version} scored {champion.score:.4f}"
    if candidate.score > champion.score:
        return True, f"champion: {scores}"
    return False, f"champion remains version {champion.version}: {scores}"


def truth_hash(decoded: Path, splits: Path, label: str) -> str:
    """Hash (32 hexadecimal digits) of the validation photos' ids and ground truth in 512 x 512, and of the label."""
    truths = read_truths(decoded, read_split(splits)[1])
    digest = hashlib.blake2b(digest_size=16)
    if label != "category":  # hashes of registered versions are by category and without a label
        digest.update(label.encode())
    digest.update(json.dumps(truths.photos).encode())
    for place, class_id, runs in zip(truths.photo_index, truths.class_ids, truths.runs, strict=True):
        digest.update(f"\n{place} {class_id} {format_rle(runs)}".encode())
    return digest.hexdigest()
