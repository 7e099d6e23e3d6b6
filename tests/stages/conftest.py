"""A tiny project: the embedded sample decoded and split, with detections made from the truth."""

import json
import sys
from pathlib import Path

import pytest

from fashionseg.data.splits import read_split
from fashionseg.detections.store import write_detections
from fashionseg.params import PARAMS_FILE, read_yaml
from truth_detections import detect_truth

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


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> Path:
    """A project folder: params.yaml, data (raw, decoded, pose, splits, predictions/validation), models' histories."""
    from fashionseg.stages import decode, download, pose, pretrained, split

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
        call_stage(pose.main, monkeypatch, decoded=data / "decoded", pose=data / "pose")
        call_stage(split.main, monkeypatch, decoded=data / "decoded", splits=data / "splits")
    _, validation = read_split(data / "splits")
    write_detections(detect_truth(data / "decoded", validation, seed=1), data / "predictions/validation")
    for stage in ("heads", "finetuned"):
        folder = root / "models" / stage
        folder.mkdir(parents=True)
        (folder / "history.csv").write_text(HISTORY.format(stage=stage))
    return root
