"""The stage `submit`: from stored detections and thresholds to a checked csv, without a network."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fashionseg.data.tables import read_photos
from fashionseg.detections.instances import Thresholds
from fashionseg.detections.store import Detections, no_detections, write_detections
from fashionseg.detections.thresholds import read_thresholds, write_thresholds
from fashionseg.errors import UserError
from fashionseg.params import read_yaml
from fashionseg.stages import submit
from fashionseg.submission.check import check_submission

REPO = Path(__file__).parents[2]
SHOE, BAG = 23, 24


@pytest.fixture
def paths(sample, tmp_path, monkeypatch):
    """Flags of the stage; stored are a shoe of score 0.9, a bag of 0.8 and a shoe of 0.3 in each photo."""
    monkeypatch.chdir(sample)
    ids = read_photos(sample / "data/decoded", "test")["image_id"].tolist()
    count = len(ids)
    detections = Detections.build(
        ids,
        np.repeat(np.arange(count), 3),
        np.tile([SHOE, BAG, SHOE], count),
        np.tile([0.9, 0.8, 0.3], count),
        np.tile([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.25, 0.0, 1.0, 0.5]], (count, 1)),
        np.full((3 * count, 28, 28), 255),
    )
    write_detections(detections, tmp_path / "detections")
    write_thresholds(Thresholds(score=0.2, nms=0.9, mask=0.5, min_area=0), tmp_path / "thresholds.json")
    return {
        "test": "data/raw/test",
        "predictions": tmp_path / "detections",
        "thresholds": tmp_path / "thresholds.json",
        "taxonomy": "data/decoded/taxonomy.json",
        "submission": tmp_path / "submission.csv",
    }


@pytest.fixture
def run(paths, run_stage):
    return lambda **flags: run_stage(submit.main, **{**paths, **flags})


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


def test_rows_follow_the_thresholds_and_share_no_pixel(run, sample, tmp_path):
    run()
    test_photos = sorted(path.name for path in (sample / "data/raw/test").iterdir())
    rows = read(tmp_path / "submission.csv")
    assert [row[0] for row in rows] == [photo for photo in test_photos for _ in range(3)]
    assert [row[2] for row in rows[:3]] == ["23", "24", "23"]
    # the first 256 rows of the first 256 columns; the second shoe begins below it
    assert rows[0][1].startswith("1 256 513 256 ")
    assert rows[2][1].startswith("257 256 769 256 ")
    assert check_submission(tmp_path / "submission.csv", test_photos) == []


def test_a_higher_score_threshold_leaves_one_row_per_photo(run, sample, tmp_path, capsys):
    write_thresholds(Thresholds(score=0.85, nms=0.9, mask=0.5, min_area=0), tmp_path / "higher.json")
    run(thresholds=tmp_path / "higher.json")
    assert "(0 without objects)" in capsys.readouterr().out
    write_thresholds(Thresholds(score=0.95, nms=0.9, mask=0.5, min_area=0), tmp_path / "higher.json")
    run(thresholds=tmp_path / "higher.json")
    count = len(list((sample / "data/raw/test").iterdir()))
    assert f"0 objects on {count} test photos ({count} without objects)" in capsys.readouterr().out
    assert len(read(tmp_path / "submission.csv")) == len(list((sample / "data/raw/test").iterdir()))


def test_a_test_photo_that_was_not_decoded_gets_the_placeholder(run, sample, tmp_path, capsys):
    shutil.copytree(sample / "data/raw/test", tmp_path / "test")
    (tmp_path / "test" / "broken.jpg").write_bytes(b"no photo")
    run(test=tmp_path / "test")
    rows = read(tmp_path / "submission.csv")
    assert [row[1:] for row in rows if row[0] == "broken.jpg"] == [["1 1", "23"]]
    assert "1 photos not decoded" in capsys.readouterr().out


def test_categories_that_are_not_submitted_have_no_row(run, tmp_path):
    write_thresholds(Thresholds(0.2, 0.9, 0.5, 0, categories=(BAG,)), tmp_path / "bags.json")
    run(thresholds=tmp_path / "bags.json")
    assert {row[2] for row in read(tmp_path / "submission.csv")} == {"24"}


def test_thresholds_with_garments_read_as_written(tmp_path):
    written = Thresholds(0.2, 0.9, 0.5, 0, garment_nms=0.7, garments=(4, 9))
    write_thresholds(written, tmp_path / "garments.json")
    assert read_thresholds(tmp_path / "garments.json") == written


def test_thresholds_of_before_categories_submit_all(run, tmp_path):
    (tmp_path / "old.json").write_text('{"score": 0.2, "nms": 0.9, "mask": 0.5, "min_area": 0}')
    assert read_thresholds(tmp_path / "old.json") == Thresholds(0.2, 0.9, 0.5, 0)
    run(thresholds=tmp_path / "old.json")
    assert {row[2] for row in read(tmp_path / "submission.csv")} == {"23", "24"}


def test_it_runs_without_the_packages_of_the_network(paths, tmp_path):
    """Nor is the model folder read: the stage gets no path of it."""
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in ("tensorflow", "keras", "jax", "grain"))
    flags = [f"--{name}={value}" for name, value in paths.items()]
    code = f"import runpy, sys; {blocked}; runpy.run_module('fashionseg.stages.submit', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read(tmp_path / "submission.csv")) > 0


def test_changed_thresholds_run_no_network():
    stage = read_yaml(REPO / "dvc.yaml")["stages"]["submit"]
    assert "data/predictions/test" in stage["deps"]
    assert not [path for path in stage["deps"] if path.startswith(("models/", "src/fashionseg/model"))]


def test_without_decoded_test_photos_all_rows_are_placeholders(run, tmp_path):
    write_detections(no_detections([]), tmp_path / "none")
    run(predictions=tmp_path / "none")
    assert {tuple(row[1:]) for row in read(tmp_path / "submission.csv")} == {("1 1", "23")}


def test_detections_that_are_missing_are_named(run, tmp_path):
    with pytest.raises(UserError, match=r"photos\.txt: no such file; run the stage predict"):
        run(predictions=tmp_path / "nothing")


def test_missing_or_broken_thresholds_are_named(run, tmp_path):
    with pytest.raises(UserError, match=r"none\.json: no such file; run the stage evaluate"):
        run(thresholds=tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{"score": 1.5, "nms": 0.5, "mask": 0.5, "min_area": 0}')
    with pytest.raises(UserError, match=r"bad\.json: expected fractions"):
        run(thresholds=tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text('{"score": 0.5}')
    with pytest.raises(UserError, match=r"bad\.json: expected score, nms, mask, min_area"):
        run(thresholds=tmp_path / "bad.json")
    for categories in ("5", '["shoe"]', "[[1]]"):
        text = f'{{"score": 0.5, "nms": 0.5, "mask": 0.5, "min_area": 0, "categories": {categories}}}'
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(UserError, match=r"categories \(ids or null\)"):
            run(thresholds=tmp_path / "bad.json")
    assert not (tmp_path / "submission.csv").exists()
