"""Our Mask R-CNN and torchvision's on the same street photos for the same time: rates and COCO mask AP.

Each side is a separate process that keeps its state, so a call may be short and the next one resumes; a failure of one
side does not affect the other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fashionseg.console import say
from fashionseg.errors import UserError
from tools.bench.by_the_clock import Progress
from tools.bench.rows import Row
from tools.bench.street_run import ABOUT, DECODED, DETECTIONS, STATE, StreetRun, read_ids

_NAMES = {"ours": "street photos, ours", "torchvision": "street photos, torchvision's"}
_TO_FINISH = 45.0  # seconds of a call reserved for writing the state
_TO_BEGIN = 90.0  # with less time left a side is not started: it could only compile


def run_sides(folder: Path, run: StreetRun, sides: Sequence[str], seconds: float) -> dict[str, str]:
    """Trains and predicts, one side after the other, for `seconds` in total; returns the failures by side."""
    end = time.monotonic() + seconds
    faults = {}
    for side in sides:
        left = end - time.monotonic()
        if is_done(folder, side):
            continue
        if left < _TO_BEGIN:
            say(f"{side}: not started, {left:.0f} s left of this call; the same command resumes")
            continue
        say(f"{side}:")
        module = f"tools.bench.street_{side}"
        command = [sys.executable, "-m", module, str(folder), str(max(left - _TO_FINISH, 1.0))]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            faults[side] = f"exited with status {done.returncode}: {last[0][:300]}"
            say(f"{side}: {faults[side]}")
        elif not is_done(folder, side):
            spent = Progress.read(folder / side / STATE).seconds
            say(f"{side}: {spent:.0f} of {60 * run.minutes:.0f} s trained; the same command resumes")
    return faults


def is_done(folder: Path, side: str) -> bool:
    """Whether the side has predicted."""
    return (folder / side / DETECTIONS).is_dir()


def rows(folder: Path, run: StreetRun, faults: dict[str, str]) -> Iterator[Row]:
    """Rate and AP of each side or its failure, and ratios if both have them."""
    rates, scores = {}, {}
    network = "small networks" if run.is_trial else run.backbone
    training, validation = (len(ids) for ids in read_ids(folder))
    on = f"{network} from scratch, {run.side} px, batch {run.batch_size}, {training} photos, {run.minutes:g} min"
    for side, name in _NAMES.items():
        done = Progress.read(folder / side / STATE)
        note = faults.get(side, "")
        if done.seconds:
            rates[side] = done.steps * run.batch_size / done.seconds
            note = f"{_about(folder / side)}; {_progress_text(done, run, training)}" + (
                f"; {note}" if note else ""
            )
            yield _row(run, f"{name}: training", on, rates[side], "photos/s", note)
        elif note:
            yield _row(run, f"{name}: failed", on, 0.0, "photos/s", note)
        if is_done(folder, side):
            scores[side], ap50, found = _mask_ap(folder, side)
            note = f"{validation} photos; AP50 {ap50:.3f}; {found} detections"
            yield _row(run, f"{name}: COCO mask AP", on, scores[side], "AP", note)
    for what, values in (("rate", rates), ("COCO mask AP", scores)):
        if len(values) == 2 and values["torchvision"] > 0:
            ratio = values["ours"] / values["torchvision"]
            yield _row(run, f"street photos, {what}: ours / torchvision's", on, ratio, "x", "")


def _row(run: StreetRun, what: str, on: str, value: float, unit: str, note: str) -> Row:
    return Row(f"TRIAL, no result: {what}" if run.is_trial else what, on, value, unit, note=note)


def _progress_text(done: Progress, run: StreetRun, num_photos: int) -> str:
    epochs = done.steps * run.batch_size / num_photos
    text = f"{done.steps} steps, {epochs:.1f} epochs in {done.seconds / 60:.1f} min, loss {done.loss:.3f}"
    return f"{text}; {done.uncounted_steps} start-up steps not counted"


def _about(side: Path) -> str:
    path = side / ABOUT
    if not path.exists():
        return "training"
    facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return f"{facts['code']}, {facts['device']}"


def _mask_ap(folder: Path, side: str) -> tuple[float, float, int]:
    """AP, AP50 and the number of detections."""
    from fashionseg.data.truths import read_truths
    from fashionseg.detections.photos import pair_photos
    from fashionseg.detections.store import read_detections
    from fashionseg.metrics.coco import average_precision, evaluate_coco
    from fashionseg.taxonomy import competition_taxonomy

    detections = read_detections(folder / side / DETECTIONS)
    if list(detections.photos) != sorted(read_ids(folder)[1]):
        raise UserError(
            f"{folder / side}: expected detections on the validation photos, got other photos; run with --restart"
        )
    photos = pair_photos(detections, read_truths(folder / DECODED, detections.photos))
    summary = average_precision(evaluate_coco(photos, competition_taxonomy().category_names)["mask"]).summary
    return summary["ap"] or 0.0, summary["ap50"] or 0.0, len(detections)
