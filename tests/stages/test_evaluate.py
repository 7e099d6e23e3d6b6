"""The stage `evaluate` on the sample, with detections made from the truth."""

import csv
import json
import shutil

import pandas as pd
import pytest

from fashionseg.data.splits import read_split
from fashionseg.detections.store import no_detections, read_detections, write_detections
from fashionseg.detections.thresholds import read_thresholds
from fashionseg.errors import UserError
from fashionseg.metrics import evaluate as evaluation
from fashionseg.metrics.calibration import calibrate
from fashionseg.params import load_params, read_yaml
from fashionseg.report.pictures import choose_photos
from fashionseg.stages import evaluate

FIRST_PART = 27  # categories from here on are parts of garments
PATHS = {
    "decoded": "data/decoded",
    "splits": "data/splits",
    "pose": "data/pose",
    "predictions": "data/predictions/validation",
    "heads": "models/heads",
    "finetuned": "models/finetuned",
}


@pytest.fixture
def run(sample, run_stage, monkeypatch):
    """`run(reports, flag=...)`: the stage in the sample project."""
    monkeypatch.chdir(sample)
    return lambda reports, **flags: run_stage(evaluate.main, **{**PATHS, "reports": reports, **flags})


@pytest.fixture(scope="module")
def reports(sample, tmp_path_factory):
    """The reports of one run."""
    folder = tmp_path_factory.mktemp("reports")
    flags = {**PATHS, "reports": folder}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(sample)
        monkeypatch.setenv("FASHIONSEG_TRACKING", "off")
        monkeypatch.setattr("sys.argv", ["evaluate", *(f"--{name}={value}" for name, value in flags.items())])
        evaluate.main()
    return folder


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_metrics_contain_every_figure(reports):
    figures = json.loads((reports / "metrics.json").read_text())
    assert 0.2 < figures["competition_score"] <= figures["competition_score_in_sample"] < 1
    assert 0 < figures["competition_score_classid"] < figures["competition_score"]
    assert {"competition_score_image", "competition_score_pooled"} <= figures.keys()
    for kind in ("box", "mask"):
        its = figures["coco"][kind]
        assert its.keys() == {"ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"}
        assert 0.3 < its["ap50"] < 1
        assert its["ap"] < its["ap50"]


def test_scores_of_the_photos_have_the_score_as_their_mean_and_the_interval_around_it(reports, sample):
    figures = json.loads((reports / "metrics.json").read_text())
    rows = read_csv(reports / "photo_scores.csv")
    assert [row["image_id"] for row in rows] == (sample / "data/splits/validation.txt").read_text().split()
    scores = [float(row["competition_score"]) for row in rows]
    assert sum(scores) / len(scores) == pytest.approx(figures["competition_score"], abs=1e-5)
    low, high = figures["competition_score_interval"]
    assert min(scores) <= low < figures["competition_score"] < high <= max(scores)


def test_counts_are_those_of_the_validation_photos(reports, sample):
    figures = json.loads((reports / "metrics.json").read_text())
    assert figures["num_photos"] == len((sample / "data/splits/validation.txt").read_text().split())
    table = read_csv(reports / "plots" / "per_category.csv")
    assert sum(int(row["truths"]) for row in table) == figures["num_truths"]


def test_thresholds_lie_in_the_searched_lists(reports, sample):
    found = read_thresholds(reports / "thresholds.json")
    searched = load_params(sample / "params.yaml").evaluate
    assert found.score in searched.score_thresholds
    assert found.nms in searched.nms_thresholds
    assert (found.garment_nms, found.garments) == (1.0, ())
    assert found.mask in searched.mask_thresholds
    assert found.min_area in searched.min_areas


def test_plots_are_tables_and_figures(reports):
    names = {path.name for path in (reports / "plots").iterdir()}
    drawn = ("per_category", "confusion", "score_threshold", "precision_recall", "losses")
    assert names == {f"{name}.{kind}" for name in drawn for kind in ("csv", "png")} | {
        "threshold_grid.csv",
        "errors.csv",
        "most_confused.csv",
        "label_suspects.csv",
    }
    assert [row["epoch"] for row in read_csv(reports / "plots" / "losses.csv")] == ["1", "2", "3", "4"]
    curve = read_csv(reports / "plots" / "score_threshold.csv")
    figures = json.loads((reports / "metrics.json").read_text())
    best = max(float(row["competition_score"]) for row in curve)
    assert best == pytest.approx(figures["competition_score_in_sample"], abs=1e-5)


def test_confusions_count_every_truth(reports):
    rows = read_csv(reports / "plots" / "confusion.csv")
    figures = json.loads((reports / "metrics.json").read_text())
    truths = sum(int(row["count"]) for row in rows if row["actual"] != "(nothing)")
    assert truths == figures["num_truths"]


def test_pictures_and_the_page_are_written(reports, sample):
    asked = load_params(sample / "params.yaml").evaluate.pictures
    photos = len((sample / "data/splits/validation.txt").read_text().split())
    assert len(list((reports / "pictures").glob("*.png"))) == min(asked, photos)
    page = (reports / "report.html").read_text(encoding="utf-8")
    figures = json.loads((reports / "metrics.json").read_text())
    assert f"{figures['competition_score']:.3f}" in page


def test_a_second_run_writes_the_same_bytes(reports, run, tmp_path):
    """The next test is the control: other thresholds to search give other files."""
    run(tmp_path / "again")
    files = sorted(path.relative_to(reports) for path in reports.rglob("*") if path.is_file())
    assert len(files) > 15
    for file in files:
        assert (tmp_path / "again" / file).read_bytes() == (reports / file).read_bytes(), file


def test_a_narrower_search_changes_the_thresholds_and_not_the_ap(reports, run, sample, tmp_path):
    params = tmp_path / "params.yaml"
    values = read_yaml(sample / "params.yaml")
    values["evaluate"]["score_thresholds"] = [0.95]
    params.write_text(json.dumps(values), encoding="utf-8")
    run(tmp_path / "narrow", params=params)
    before, after = (
        json.loads((folder / "metrics.json").read_text()) for folder in (reports, tmp_path / "narrow")
    )
    assert read_thresholds(tmp_path / "narrow" / "thresholds.json").score == 0.95
    assert after["competition_score_in_sample"] < before["competition_score_in_sample"]
    assert after["coco"] == before["coco"]


def test_the_label_decides_what_is_optimised_and_both_are_reported(run, sample, tmp_path):
    """With attributes on every garment, detections of garments match nothing and are not submitted."""
    shutil.copytree(sample / "data/decoded", tmp_path / "decoded")
    table = tmp_path / "decoded" / "instances.parquet"
    instances = pd.read_parquet(table)
    garments = instances["category"] < FIRST_PART
    instances.loc[garments, "class_id"] = instances.loc[garments, "category"].astype(str) + "_3"
    instances.to_parquet(table)
    values = read_yaml(sample / "params.yaml")
    found = {}
    for label in ("category", "classid"):
        values["evaluate"]["label"] = label
        (tmp_path / "params.yaml").write_text(json.dumps(values), encoding="utf-8")
        run(tmp_path / label, params=tmp_path / "params.yaml", decoded=tmp_path / "decoded")
        found[label] = json.loads((tmp_path / label / "metrics.json").read_text())
        assert found[label]["label"] == label
        assert found[label]["competition_score"] == found[label][f"competition_score_{label}"]
    for label, other in (("category", "classid"), ("classid", "category")):
        score = f"competition_score_{label}"
        assert found[label][score] > found[other][score]
    assert read_thresholds(tmp_path / "category" / "thresholds.json").categories is None
    submitted = read_thresholds(tmp_path / "classid" / "thresholds.json").categories
    assert submitted is not None
    assert set(range(FIRST_PART, 46)) & set(submitted)
    present = set(instances.loc[garments, "category"])
    assert len(present & set(submitted)) < len(present)


def test_the_error_analysis_is_written_and_shown(reports):
    errors = read_csv(reports / "plots" / "errors.csv")
    assert [row["error"] for row in errors] == ["Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"]
    assert sum(int(row["count"]) for row in errors) > 0
    suspects = read_csv(reports / "plots" / "label_suspects.csv")
    assert {row["suspicion"] for row in suspects} <= {"wrong category", "not annotated"}
    page = (reports / "report.html").read_text(encoding="utf-8")
    for title in ("Error analysis", "errors", "most confused", "label suspects"):
        assert title in page


def test_near_identical_photos_are_in_one_fold(run, sample, tmp_path, monkeypatch):
    """The groups that the stage split wrote reach the search."""
    splits = tmp_path / "splits"
    shutil.copytree(sample / "data/splits", splits)
    _, validation = read_split(splits)
    (splits / "groups.json").write_text(json.dumps([validation[:3]]))
    seen = []
    monkeypatch.setattr(
        evaluation,
        "calibrate",
        lambda photos, grid, folds, *rest: seen.append(folds) or calibrate(photos, grid, folds, *rest),
    )
    run(tmp_path / "reports", splits=splits)
    assert seen[0][:4].tolist() == [0, 0, 0, 1]


def test_detections_on_other_photos_are_refused(run, sample, tmp_path):
    detections = read_detections(sample / "data/predictions/validation")
    write_detections(no_detections(detections.photos[1:]), tmp_path / "predictions")
    with pytest.raises(UserError, match="run the stage predict"):
        run(tmp_path / "reports", predictions=tmp_path / "predictions")
    assert not (tmp_path / "reports").exists()


def test_a_missing_history_is_named(run, sample, tmp_path):
    shutil.copytree(sample / "models", tmp_path / "models")
    (tmp_path / "models/heads/history.csv").unlink()
    with pytest.raises(UserError, match=r"history\.csv: no such file"):
        run(tmp_path / "reports", heads=tmp_path / "models/heads")


def test_all_runs_on_a_split_show_the_same_photos():
    """Whatever was detected in them; photos without truths are skipped."""
    ids = [f"{number:03d}.jpg" for number in range(40)]
    photos = [("detections", "truth" if number % 4 else "") for number in range(40)]
    chosen = {ids[place] for place in choose_photos(ids, photos, 10)}
    assert len(chosen) == 10
    assert not chosen & set(ids[::4])
    assert chosen != set(sorted(set(ids) - set(ids[::4]))[:10]), "not the first by name"
    # One photo less in the split changes one picture at most.
    gone = next(iter(chosen))
    kept = [place for place in range(40) if ids[place] != gone]
    rest = [ids[place] for place in kept]
    again = {rest[place] for place in choose_photos(rest, [photos[place] for place in kept], 10)}
    assert again > chosen - {gone}
    assert len(choose_photos(ids, photos, 100)) == 30
