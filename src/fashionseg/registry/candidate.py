"""What is registered: a model folder, its thresholds, its scores, and which data the scores were made on."""

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
from fashionseg.params import flatten, read_yaml
from fashionseg.storage.json_file import read_json

SCORE = "competition_score"


@dataclass(frozen=True)
class Candidate:
    """A model that could become the champion.

    Attributes:
        model, thresholds: folder of the fine-tuning and file of the calibration.
        metrics: figures of reports/metrics.json by dotted name; those that are no number are left out.
        data_hash: of the validation photos, their truths and the label; scores compare where it is the same.
        model_hash: of weights, architecture and thresholds.
    """

    model: Path
    thresholds: Path
    metrics: dict[str, float]
    data_hash: str
    model_hash: str

    @property
    def score(self) -> float:
        """The competition score, out of fold."""
        return self.metrics[SCORE]


@dataclass(frozen=True)
class Champion:
    """The registered model that the alias points at; `score` and `data_hash` as in `Candidate`."""

    version: str
    score: float
    data_hash: str


def read_candidate(root: Path) -> Candidate:
    """The trained model of the project in `root`.

    Raises:
        UserError: a file is missing, or the scores are not those of this model.
    """
    model, reports = root / "models/finetuned", root / "reports"
    metrics = _read_metrics(reports / "metrics.json")
    read_thresholds(reports / "thresholds.json")
    files = (model / "model.weights.h5", model / "model.json", reports / "thresholds.json")
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such file; `dvc repro` or `dvc pull` brings it")
    _check_scores_are_of(model, reports / "metrics.json", root / "dvc.lock")
    return Candidate(
        model,
        reports / "thresholds.json",
        metrics,
        truth_hash(root / "data/decoded", root / "data/splits", _label(reports / "metrics.json")),
        _hash_files(files),
    )


def verdict(candidate: Candidate, champion: Champion | None) -> tuple[bool, str]:
    """Whether the candidate becomes the champion, and why.

    The first model does. After that the rule is a higher competition score, out of fold, on the same validation
    photos with the same truths; scores on other data say nothing about which model is better.
    """
    if champion is None:
        return True, f"the first champion, score {candidate.score:.4f}"
    if candidate.data_hash != champion.data_hash:
        return False, f"champion stays version {champion.version}: scored on other data, not comparable"
    scores = f"score {candidate.score:.4f}, version {champion.version} has {champion.score:.4f}"
    if candidate.score > champion.score:
        return True, f"champion: {scores}"
    return False, f"champion stays version {champion.version}: {scores}"


def truth_hash(decoded: Path, splits: Path, label: str) -> str:
    """32 hexadecimal digits of the validation photos' ids and truths in the competition's frame, and of the label."""
    truths = read_truths(decoded, read_split(splits)[1])
    digest = hashlib.blake2b(digest_size=16)
    if label != "category":  # hashes of registered versions are by category and without a label
        digest.update(label.encode())
    digest.update(json.dumps(truths.photos).encode())
    for place, class_id, runs in zip(truths.photo_index, truths.class_ids, truths.runs, strict=True):
        digest.update(f"\n{place} {class_id} {format_rle(runs)}".encode())
    return digest.hexdigest()


def dvc_md5(path: Path) -> str:
    """The hash that dvc.lock has for a file or a folder."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    entries = [{"md5": dvc_md5(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"


def _label(metrics: Path) -> str:
    """The label of the competition score."""
    return str(read_json(metrics, "run `dvc repro`").get("label", "category"))


def _read_metrics(path: Path) -> dict[str, float]:
    try:
        values = flatten(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; `dvc repro` writes it") from None
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path}: expected a mapping of figures: {error}") from None
    metrics = {key: float(value) for key, value in values.items() if isinstance(value, int | float)}
    if SCORE not in metrics:
        raise UserError(f"{path}: expected a number {SCORE}, got {values.get(SCORE)!r}")
    return metrics


def _check_scores_are_of(model: Path, metrics: Path, lock: Path) -> None:
    """A stopped `dvc repro` leaves a new model beside the scores of the one before."""
    evaluate: dict[str, Any] = read_yaml(lock).get("stages", {}).get("evaluate", {})
    entries = [*evaluate.get("deps", []), *evaluate.get("outs", [])]
    recorded = {entry["path"]: entry.get("md5") for entry in entries}
    for path, name in ((model, "models/finetuned"), (metrics, "reports/metrics.json")):
        if recorded.get(name) != dvc_md5(path):
            raise UserError(f"{path}: not what was evaluated according to {lock.name}; run `dvc repro` first")


def _hash_files(paths: tuple[Path, ...]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in paths:
        digest.update(hashlib.blake2b(path.read_bytes(), digest_size=16).digest())
    return digest.hexdigest()
