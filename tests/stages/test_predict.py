"""The stage `predict` with a stub for the network: which photos it runs on, and what it leaves for later stages."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fashionseg.data.splits import read_split
from fashionseg.data.tables import read_photos, write_photos
from fashionseg.detections import inference
from fashionseg.detections.store import Detections, read_detections
from fashionseg.stages import predict


@pytest.fixture
def run(sample, run_stage, monkeypatch, tmp_path):
    """`run(**flags)`: the stage with a detector that finds one shoe in each photo."""

    def detect(detector, decoded, subset, image_ids, batch_size, poses):
        assert (detector.folder, batch_size, poses) == (Path("models/finetuned"), 8, None)
        calls.append(subset)
        count = len(image_ids)
        return Detections.build(
            image_ids,
            np.arange(count),
            np.full(count, 23),
            np.full(count, 0.9),
            np.tile([0.0, 0.0, 0.5, 0.5], (count, 1)),
            np.full((count, 28, 28), 255),
        )

    calls: list[str] = []
    monkeypatch.chdir(sample)
    monkeypatch.setattr(
        inference,
        "load_detector",
        lambda folder, settings, num_devices: SimpleNamespace(
            folder=folder, network=SimpleNamespace(takes_pose=False)
        ),
    )
    monkeypatch.setattr(inference, "predict_records", detect)
    paths = {
        "decoded": "data/decoded",
        "splits": "data/splits",
        "pose": "data/pose",
        "finetuned": "models/finetuned",
        "predictions": tmp_path / "predictions",
    }

    def run(**flags):
        run_stage(predict.main, **{**paths, **flags})
        return calls

    return run


def test_detections_of_validation_and_test_photos_are_stored(run, sample, tmp_path, capsys):
    assert run() == ["train", "test"]
    _, validation = read_split(sample / "data/splits")
    test = read_photos(sample / "data/decoded", "test")["image_id"].tolist()
    for name, ids in (("validation", validation), ("test", test)):
        found = read_detections(tmp_path / "predictions" / name)
        assert found.photos == tuple(sorted(ids))
        assert len(found) == len(ids)
    assert f"{len(test)} on {len(test)} test photos" in capsys.readouterr().out


def test_without_decoded_test_photos_the_list_of_the_test_is_empty(run, sample, tmp_path):
    shutil.copytree(sample / "data/decoded", tmp_path / "decoded")
    photos = read_photos(tmp_path / "decoded", "train")
    write_photos(tmp_path / "decoded", photos.assign(subset="train").to_dict("records"))
    assert run(decoded=tmp_path / "decoded") == ["train"]
    found = read_detections(tmp_path / "predictions/test")
    assert (found.photos, len(found)) == ((), 0)
