"""`fashionseg fit-anchors` on boxes of known sizes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fashionseg.cli import main
from fashionseg.data.rle import mask_to_runs
from fashionseg.data.splits import write_ids
from fashionseg.data.tables import Instance, InstanceTable, write_photos
from fashionseg.params import read_yaml
from fashionseg.tune.anchors import AnchorShapes, best_ious, fit_anchors, measure_anchors, training_boxes

SIZES, RATIOS = (10.0, 20.0, 40.0, 80.0, 120.0), (0.4, 1.0, 2.5)
PRESENT = AnchorShapes((12.0, 24.0, 48.0, 80.0, 128.0), (0.5, 1.0, 2.0))


def test_best_iou_by_hand():
    # A box 10 high and 20 wide: with 10 x 10, 100 of 200; with 20 x 20, 200 of 400; with the ratio 2 and the side
    # 10 * sqrt(2), exactly.
    box = np.array([[10.0, 20.0]])
    assert best_ious(box, AnchorShapes((10.0,), (1.0,))) == pytest.approx(0.5)
    assert best_ious(box, AnchorShapes((20.0,), (1.0,))) == pytest.approx(0.5)
    assert best_ious(box, AnchorShapes((5.0, 200**0.5), (1.0, 2.0))) == pytest.approx(1.0)


def test_recalls_are_the_shares_of_boxes_at_an_iou():
    boxes = np.array([[10.0, 10.0], [10.0, 20.0], [10.0, 14.0], [10.0, 50.0]])  # IoU 1, 0.5, 0.714, 0.2
    fit = measure_anchors(boxes, AnchorShapes((10.0,), (1.0,)))
    assert fit.mean_iou == pytest.approx((1 + 0.5 + 10 / 14 + 0.2) / 4)
    assert fit.recalls == (0.75, 0.5)


def test_known_sizes_and_ratios_are_found():
    rng = np.random.default_rng(1)
    shapes = np.repeat(AnchorShapes(SIZES, RATIOS).heights_widths(), 20, axis=0)
    boxes = shapes * np.exp(rng.normal(0, 0.02, shapes.shape))
    found = fit_anchors(boxes, PRESENT)
    np.testing.assert_allclose(found.sizes, SIZES, rtol=0.04)
    np.testing.assert_allclose(found.aspect_ratios, RATIOS, rtol=0.04)
    assert measure_anchors(boxes, found).mean_iou > 0.95 > measure_anchors(boxes, PRESENT).mean_iou
    assert found == fit_anchors(
        boxes[::-1], PRESENT
    )  # nothing is drawn, and the order of the boxes is no matter


@pytest.mark.parametrize("seed", range(3))
def test_fitted_anchors_are_never_worse(seed: int):
    boxes = np.exp(np.random.default_rng(seed).normal(3, 1, (50, 2)))
    found = fit_anchors(boxes, PRESENT)
    assert measure_anchors(boxes, found).mean_iou >= measure_anchors(boxes, PRESENT).mean_iou


def test_a_single_box_gives_as_many_anchors():
    found = fit_anchors(np.array([[30.0, 30.0]]), PRESENT)
    assert (len(found.sizes), len(found.aspect_ratios)) == (5, 3)
    assert list(found.sizes) == sorted(found.sizes)


@pytest.fixture
def decoded_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photo `a` (stored 80 x 40) with two instances, one too small to train on; photo `v` is for validation."""
    monkeypatch.chdir(project)
    decoded, splits = project / "data/decoded", project / "data/splits"
    decoded.mkdir(parents=True)
    splits.mkdir()
    photo = {
        "subset": "train",
        "height": 800,
        "width": 400,
        "stored_height": 80,
        "stored_width": 40,
        "dhash": 0,
    }
    write_photos(decoded, [{**photo, "image_id": name, "record": place} for place, name in enumerate("av")])
    mask = np.zeros((512, 512), bool)
    mask[:128, :256] = True  # a quarter of the height, half of the width
    runs = mask_to_runs(mask)
    table = InstanceTable(decoded)
    table.add("a", 0, Instance(6, (), runs, runs))
    table.add("a", 1, Instance(6, (), None, mask_to_runs(mask[::-1])))
    table.add("v", 0, Instance(6, (), runs, runs))
    table.close()
    write_ids(splits / "train.txt", ["a"])
    write_ids(splits / "validation.txt", ["v"])
    return project


def test_boxes_are_those_of_training_at_the_size_of_the_input(decoded_project: Path):
    # The longer side becomes 160: the photo is 160 x 80 and its box 40 x 40.
    boxes = training_boxes(decoded_project / "data/decoded", decoded_project / "data/splits", 160)
    np.testing.assert_allclose(boxes, [[40.0, 40.0]])


def test_the_experiment_to_run_is_printed_and_its_values_are_valid(decoded_project: Path, capsys):
    assert main(["fit-anchors"]) == 0
    printed = capsys.readouterr().out
    assert "1 training boxes at 160 pixels" in printed
    # The nearest anchor now is 48 x 48: 1600 / 2304.
    assert re.search(r"present +0\.694  1\.000 +0\.000", printed)
    assert re.search(r"fitted +1\.000  1\.000 +1\.000", printed)
    line = re.search(r'^dvc exp run -S "(\S+)" -S "(\S+)"$', printed, re.MULTILINE)
    assert main(["preset", *line.groups()]) == 0
    anchors = read_yaml(decoded_project / "params.yaml")["model"]["anchors"]
    assert len(anchors["sizes"]) == 5
    assert len(anchors["aspect_ratios"]) == 3


def test_anchors_that_cannot_be_improved_give_no_experiment(decoded_project: Path, capsys):
    assert main(["preset", "model.anchors.sizes=[12,24,40,80,128]"]) == 0
    capsys.readouterr()
    assert main(["fit-anchors"]) == 0
    printed = capsys.readouterr().out
    assert "no better anchors found" in printed
    assert "dvc exp run" not in printed


def test_faults_are_one_line(decoded_project: Path, capsys):
    def error(*options: str) -> str:
        assert main(["fit-anchors", *options]) == 2
        printed = capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        return printed.err

    assert "nowhere" in error("--params", "nowhere.yaml")
    assert "run the stage split" in error("--splits", "nowhere")
    assert "run the stage decode" in error("--decoded", "nowhere")
    write_ids(decoded_project / "data/splits/train.txt", ["b"])
    assert "expected boxes of the 1 training photos" in error()
    (decoded_project / "params.yaml").write_text(json.dumps({"seed": 1}))
    assert "params.yaml" in error()
