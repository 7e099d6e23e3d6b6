"""The stage `submit` without a network: its detections are handed in."""

import csv
import shutil

import numpy as np
import pytest

from fashionseg.detections import inference
from fashionseg.detections.instances import Thresholds
from fashionseg.detections.store import Detections
from fashionseg.detections.thresholds import write_thresholds
from fashionseg.errors import UserError
from fashionseg.stages import submit
from fashionseg.submission.check import check_submission


@pytest.fixture
def run(sample, run_stage, monkeypatch, tmp_path):
    """`run(**flags)`: the stage with a detector that finds one shoe of score 0.9 and one of 0.3 in each photo."""

    def predict(detector, decoded, subset, image_ids, batch_size):
        assert (detector, subset) == ("detector of models/finetuned", "test")
        count = len(image_ids)
        return Detections.build(
            image_ids,
            np.repeat(np.arange(count), 2),
            np.full(2 * count, 23),
            np.tile([0.9, 0.3], count),
            np.tile([[0.0, 0.0, 0.5, 0.5], [0.25, 0.0, 1.0, 0.5]], (count, 1)),
            np.full((2 * count, 28, 28), 255),
        )

    monkeypatch.chdir(sample)
    monkeypatch.setattr(inference, "load_detector", lambda folder: f"detector of {folder}")
    monkeypatch.setattr(inference, "predict_records", predict)
    write_thresholds(Thresholds(score=0.2, nms=0.9, mask=0.5, min_area=0), tmp_path / "thresholds.json")
    paths = {
        "test": "data/raw/test",
        "decoded": "data/decoded",
        "finetuned": "models/finetuned",
        "thresholds": tmp_path / "thresholds.json",
        "submission": tmp_path / "submission.csv",
    }
    return lambda **flags: run_stage(submit.main, **{**paths, **flags})


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


def test_rows_follow_the_thresholds_and_share_no_pixel(run, sample, tmp_path):
    run()
    test_photos = sorted(path.name for path in (sample / "data/raw/test").iterdir())
    rows = read(tmp_path / "submission.csv")
    assert [row[0] for row in rows] == [photo for photo in test_photos for _ in range(2)]
    # the first 256 rows of the first 256 columns; the second mask begins below it
    assert rows[0][1].startswith("1 256 513 256 ")
    assert rows[1][1].startswith("257 256 769 256 ")
    assert check_submission(tmp_path / "submission.csv", test_photos) == []


def test_a_higher_score_threshold_leaves_one_row_a_photo(run, sample, tmp_path):
    write_thresholds(Thresholds(score=0.5, nms=0.9, mask=0.5, min_area=0), tmp_path / "higher.json")
    run(thresholds=tmp_path / "higher.json")
    assert len(read(tmp_path / "submission.csv")) == len(list((sample / "data/raw/test").iterdir()))


def test_a_test_photo_that_was_not_decoded_gets_the_placeholder(run, sample, tmp_path, capsys):
    shutil.copytree(sample / "data/raw/test", tmp_path / "test")
    (tmp_path / "test" / "broken.jpg").write_bytes(b"no photo")
    run(test=tmp_path / "test")
    rows = read(tmp_path / "submission.csv")
    assert [row[1:] for row in rows if row[0] == "broken.jpg"] == [["1 1", "23"]]
    assert "1 photos not decoded" in capsys.readouterr().out


def test_missing_or_broken_thresholds_are_named(run, tmp_path):
    with pytest.raises(UserError, match=r"none\.json: no such file; run the stage evaluate"):
        run(thresholds=tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"score": 1.5, "nms": 0.5, "mask": 0.5, "min_area": 0}')
    with pytest.raises(UserError, match=r"bad\.json: expected fractions"):
        run(thresholds=tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"score": 0.5}')
    with pytest.raises(UserError, match=r"bad\.json: expected score, nms, mask and min_area"):
        run(thresholds=tmp_path / "bad.json")
    assert not (tmp_path / "submission.csv").exists()
