"""What a kill leaves behind is never mistaken for a result, and never resumed with other parameters."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fashionseg.params import (
    PARAMS_FILE,
    Params,
    flatten,
    load_params,
    parse_params,
    read_yaml,
    to_dict,
)
from fashionseg.stages.training_stage import deciding_params
from fashionseg.storage.fingerprint import fingerprint
from fashionseg.tracking.dvc_lock import dvc_md5

REPO = Path(__file__).parents[2]


def test_a_killed_decode_leaves_no_output_and_then_gives_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    shutil.copy(sample / PARAMS_FILE, tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/raw").symlink_to(sample / "data/raw")
    words = [
        sys.executable,
        "-m",
        "fashionseg.stages.decode",
        "--raw",
        "data/raw",
        "--decoded",
        "data/decoded",
    ]
    process = subprocess.Popen(words, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        while not list((tmp_path / "data").glob(".decoded*/*")):  # its first file, under a temporary name
            assert process.poll() is None, "the stage ended before the kill"
            time.sleep(0.005)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "data/decoded").exists()

    subprocess.run(words, cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    assert dvc_md5(tmp_path / "data/decoded") == dvc_md5(sample / "data/decoded")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["decoded", "raw", "suspects"]


@pytest.mark.parametrize("stage", ["train_heads", "finetune"])
def test_a_training_resumes_with_the_same_parameters_only(stage: str) -> None:
    """A change of any value that dvc.yaml names for the stage gives the state another folder."""
    params = load_params(REPO / PARAMS_FILE)
    before = fingerprint(deciding_params(params, stage), [])
    sections = tuple(read_yaml(REPO / "dvc.yaml")["stages"][stage]["params"])
    keys = [key for key in flatten(to_dict(params)) if any(f"{key}.".startswith(f"{s}.") for s in sections)]
    assert len(keys) > 40
    for key in keys:
        after = fingerprint(deciding_params(changed(params, key), stage), [])
        assert after != before, key
    assert fingerprint(deciding_params(changed(params, "predict.batch_size"), stage), []) == before


def changed(params: Params, key: str) -> Params:
    """`params` with another valid value of `key`."""
    values = to_dict(params)
    *sections, name = key.split(".")
    place: dict[str, Any] = values
    for section in sections:
        place = place[section]
    others: dict[str, Any] = {
        "pretrained": "coco",
        "architecture": "another",
        "name": "resnet14" if place[name] != "resnet14" else "resnet50",
        "optimizer": "sgd" if place[name] != "sgd" else "adamw",
        "schedule": "constant" if place[name] != "constant" else "cosine",
        "best_epoch": "score" if place[name] != "score" else "val_loss",
        "pixel_mean": [1.0, 2.0, 3.0],
        "box_stds": [[0.1, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2]],
        "cascade_ious": [0.55, 0.65],
        "body_parts": "maps",
        "from": "finetuned@v1.0.0",
    }
    if key == "augment.jpeg_quality":
        others["jpeg_quality"] = [50, 90]
    value = place[name]
    if name in others:
        place[name] = others[name]
    elif isinstance(value, bool):
        place[name] = not value
    elif isinstance(value, list):
        place[name] = [*value[:-1], value[-1] * 1.5 if isinstance(value[-1], float) else value[-1] + 1]
    elif name in ("image_size", "mini_mask_size"):
        place[name] = value * 2
    else:
        place[name] = (value * 0.5 or 0.5) if isinstance(value, float) else value + 1
    return parse_params(values, PARAMS_FILE)
