"""A tiny project: the embedded sample decoded and split, with detections made from the truth."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fashionseg.data.rle import runs_box, runs_to_mask
from fashionseg.data.splits import read_split
from fashionseg.data.truths import read_truths
from fashionseg.detections.store import Detections, write_detections
from fashionseg.params import PARAMS_FILE, read_yaml

SEARCHED = {
    "folds": 3,
    "score_thresholds": [0.2, 0.4, 0.6],
    "nms_thresholds": [0.3, 0.5],
    "mask_thresholds": [0.4, 0.5],
    "min_areas": [0, 50],
    "pictures": 4,
}
HISTORY = "epoch,stage,loss,mrcnn_mask_loss,val_loss\n1,{stage},2.5,0.7,2.6\n2,{stage},1.5,0.5,1.7\n"


def call_stage(main, monkeypatch, **flags) -> None:
    arguments = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["stage", *arguments])
    main()


@pytest.fixture
def run_stage(monkeypatch):
    """`run_stage(main, decoded=..., ...)`: a stage's `main` with its flags."""
    return lambda main, **flags: call_stage(main, monkeypatch, **flags)


def detect_truth(decoded: Path, photos: list[str], seed: int) -> Detections:
    """Truths as detections: boxes a little off, one in five of a wrong category, one in five missed; plus noise."""
    truths = read_truths(decoded, photos)
    rng = np.random.default_rng(seed)
    rows = []
    for place, category, runs in zip(truths.photo_index, truths.categories, truths.runs, strict=True):
        if rng.random() < 0.2:
            continue
        y1, x1, y2, x2 = runs_box(runs, 512)
        crop = runs_to_mask(runs, (512, 512))[y1:y2, x1:x2].astype(np.float32)
        probs = np.uint8(255 * cv2.resize(crop, (28, 28), interpolation=cv2.INTER_AREA))
        wrong = rng.random() < 0.2
        score = rng.uniform(0.1, 0.6) if wrong else rng.uniform(0.4, 1.0)
        box = np.array([y1, x1, y2, x2]) / 512 + rng.normal(0, 0.003, 4)
        rows.append((place, (category + wrong) % 46, score, box, probs))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Detections.build(truths.photos, *columns)


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    """A project folder: params.yaml, data (raw, decoded, splits, predictions/validation) and the models' histories."""
    from fashionseg.stages import decode, download, pretrained, split

    root = tmp_path_factory.mktemp("project")
    values = read_yaml(Path(__file__).parents[2] / PARAMS_FILE)
    values["download"] |= {"source": "sample", "sample": {"train_photos": 30, "test_photos": 3, "seed": 7}}
    values["decode"] |= {"long_side": 160}
    values["evaluate"] |= SEARCHED
    (root / PARAMS_FILE).write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
    data = root / "data"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(root)
        call_stage(download.main, monkeypatch, raw=data / "raw")
        call_stage(pretrained.main, monkeypatch, pretrained=root / "models/pretrained")
        call_stage(decode.main, monkeypatch, raw=data / "raw", decoded=data / "decoded")
        call_stage(split.main, monkeypatch, decoded=data / "decoded", splits=data / "splits")
    _, validation = read_split(data / "splits")
    write_detections(detect_truth(data / "decoded", validation, seed=1), data / "predictions/validation")
    for stage in ("heads", "finetuned"):
        folder = root / "models" / stage
        folder.mkdir(parents=True)
        (folder / "history.csv").write_text(HISTORY.format(stage=stage))
    return root
