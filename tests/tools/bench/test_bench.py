"""The bench on tiny inputs: both sides of a comparison do the same work. No test asserts a time."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from tools.__main__ import main
from tools.bench.data import decode_mask, decode_mask_usual, measure_masks
from tools.bench.evaluation import average_precisions, check_equal, measure_submission, pycocotools_on
from tools.bench.gpu_rows import our_rows, peer_row
from tools.bench.inputs import (
    DETECTIONS_PER_PHOTO,
    MASKS_PER_PHOTO,
    make_photos_to_score,
    make_rles,
    write_decoded,
)
from tools.bench.loader import measure_loader
from tools.bench.packages import missing_packages_named
from tools.bench.results import as_line, machine_text, write_results
from tools.bench.rows import Bench, Row
from tools.bench.settings import original_params
from tools.bench.timing import in_turns
from tools.commands.bench import PARTS

from fashionseg.errors import UserError
from fashionseg.params import changed, load_params


@pytest.fixture
def bench(tmp_path: Path, repo: Path) -> Bench:
    return Bench(load_params(repo / "params.yaml"), tmp_path, repeats=1, size=0.01)


def test_a_row_is_met_on_the_right_side_of_its_target() -> None:
    assert Row("a", "b", 0.3, "ms", 0.4).met
    assert not Row("a", "b", 0.5, "ms", 0.4).met
    assert Row("a", "b", 6.0, "x", 5.0, lower_is_better=False).met
    assert not Row("a", "b", 4.0, "x", 5.0, lower_is_better=False).met
    assert Row("a", "b", 4.0, "x").met is None


def test_functions_alternate_after_one_uncounted_call() -> None:
    calls: list[str] = []
    seconds = in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert [len(times) for times in seconds.values()] == [2, 2]


def test_the_usual_way_gives_the_same_masks() -> None:
    # 3 x 4 pixels; the runs 2-3 and 7-8 (from 1, down the columns) at half the height: rows 0 and 1 of 2 take 0 and 1.
    assert decode_mask("2 2 7 2", (3, 4), (2, 4)).tolist() == [
        [False, False, True, False],
        [True, False, True, False],
    ]
    for text in make_rles(np.random.default_rng(0), 3, (301, 217)):
        for to_hw in ((64, 64), (400, 300)):
            ours = decode_mask(text, (301, 217), to_hw)
            assert np.array_equal(ours, decode_mask_usual(text, (301, 217), to_hw))


def test_mask_rows_name_what_was_compared(bench: Bench) -> None:
    each, times = measure_masks(bench)
    assert (each.target, times.target) == (0.4, 5.0)
    assert "identical" in times.note


def test_synthetic_detections_have_the_sizes_of_the_targets() -> None:
    photos, detections = make_photos_to_score(3)
    assert [len(truths) for _, truths in photos] == [MASKS_PER_PHOTO] * 3
    assert len(detections) == 3 * DETECTIONS_PER_PHOTO


def test_average_precision_equals_pycocotools() -> None:
    photos, _ = make_photos_to_score(4)
    theirs, _, _ = pycocotools_on(photos)
    ours = average_precisions(photos)
    assert 0.05 < theirs["mask"][0] < 0.95  # neither nothing found nor everything
    check_equal(ours, theirs)
    with pytest.raises(AssertionError):
        check_equal(ours, {"mask": [theirs["mask"][0] + 0.01, *theirs["mask"][1:]]})


def test_the_submission_is_valid(bench: Bench) -> None:
    (row,) = measure_submission(bench)
    assert row.on.startswith("32 photos")


def test_the_loader_is_measured_both_ways(bench: Bench) -> None:
    rows = measure_loader(bench)
    assert [row.what for row in rows] == ["loader", "loader, in process", "loader, against pixels alone"]
    assert all(row.value > 0 for row in rows)


def test_decoded_photos_are_reproducible(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        assert write_decoded(tmp_path / folder, 2, 64) == ["000000.jpg", "000001.jpg"]
    first, second = (sorted((tmp_path / folder).iterdir()) for folder in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_results_hold_the_rows_as_the_documentation_shows_them(tmp_path: Path) -> None:
    rows = [
        Row("decode", "masks", 0.3, "ms", 0.4, note="best of 3"),
        Row("start", "help", 0.5, "s", 0.3),
        Row("loader", "512 px", 300.0, "photos/s", 200.0, lower_is_better=False),
        Row("shown", "only", 3, "x"),
    ]
    write_results(tmp_path / "results.json", rows, "2026-11-25", "2 cores", repeats=3)
    stored = json.loads((tmp_path / "results.json").read_text())
    assert (stored["date"], stored["machine"], stored["repeats"]) == ("2026-11-25", "2 cores", 3)
    first, *others = stored["rows"]
    assert first == {
        "name": "decode: masks",
        "value": 0.3,
        "unit": "ms",
        "target": "≤ 0.4 ms",
        "met": True,
        "note": "best of 3",
    }
    assert [(row["target"], row["met"]) for row in others] == [
        ("≤ 0.3 s", False),
        ("≥ 200 photos/s", True),
        (None, None),
    ]


def test_a_line_names_value_target_and_verdict() -> None:
    line = as_line(Row("start", "help", 0.512345, "s", 0.3, note="slow"))
    assert line.split() == ["start", "0.512", "s", "≤", "0.3", "s", "MISSED", "help", "slow"]


def test_a_busy_machine_is_named() -> None:
    assert machine_text("2 cores of X", 8.52, 1.5) == (
        "2 cores of X, busy (other processes took 1.50 cores), 8.5 minutes"
    )
    assert "idle" in machine_text("2 cores of X", 8.5, 0.0)


def test_the_settings_are_those_of_the_original_training(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    params = original_params()
    assert (params.model.backbone.name, params.model.backbone.width) == ("resnet101", 64)
    assert params.sampling.rois_per_image == 200
    assert changed(params, {"model.image_size": 256}).model.image_size == 256


def test_the_command_measures_the_parts_asked_for(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repo)
    parts = ["--only", "masks", "help", "--size", "0.01", "--repeats", "1"]
    assert main(["bench", *parts, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "decode masks" in said and "fashionseg --help" in said
    assert "training step" not in said
    assert json.loads((tmp_path / "results.json").read_text())["rows"][0]["name"].startswith("decode masks: ")
    assert not (tmp_path / "work").exists()
    assert len(PARTS) == 11


def test_only_a_whole_run_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    for partial in (["--only", "masks"], ["--networks", "resnet50:256"], ["--size", "0.1"], ["gpu"]):
        assert main(["bench", "--keep", *partial]) == 2
        assert "--keep: expected a whole run on the CPU" in capsys.readouterr().err


def test_a_whole_run_is_kept_for_the_documentation(
    project: Path, monkeypatch: pytest.MonkeyPatch, repo: Path
) -> None:
    for name in ("params.yaml", "presets/kaggle-dgx.yaml"):
        (project / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(repo / name, project / name)
    part = types.SimpleNamespace(measure=lambda bench: [Row("decode", "masks", 0.3, "ms", 0.4)])
    monkeypatch.setitem(sys.modules, "tools.bench.one_part", part)
    monkeypatch.setattr("tools.commands.bench.PARTS", {"one": ("tools.bench.one_part", "measure")})
    (project / "docs/data").mkdir(parents=True)
    assert main(["bench", "--keep"]) == 0
    kept = json.loads((project / "docs/data/bench.json").read_text())
    assert [row["name"] for row in kept["rows"]] == ["decode: masks"]
    assert kept == json.loads((project / ".fashionseg/bench/results.json").read_text())


def test_a_missing_gpu_is_reported() -> None:
    from tools.bench.gpu import check_device

    with pytest.raises(UserError, match="expected a GPU, got none"):
        check_device()
    assert check_device(may_be_cpu=True) == "CPU"


def test_rows_of_a_trial_are_marked_and_have_no_target() -> None:
    made = [*our_rows("on", [10.0], [10.0], 1.0, True), peer_row("on", [10.0], [5.0], "note", True)]
    assert all(row.what.startswith("TRIAL, no result: ") and row.met is None for row in made)
    real = [
        *our_rows("on", [150.0, 250.0, 260.0], [260.0], 1.0, False),
        peer_row("on", [300.0], [250.0], "", False),
    ]
    assert [(row.target, row.met) for row in real] == [(200.0, True), (0.97, False), (1.5, False)]


def test_a_failed_peer_is_a_row_with_the_reason() -> None:
    row = peer_row("on", [100.0], [], "torchvision exited with status 1: out of memory", False)
    assert row.what.endswith("not measured") and "out of memory" in row.note and row.met is None


def test_a_trial_is_for_the_gpu_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--try-on-cpu"]) == 2
    assert "expected with `bench gpu` only" in capsys.readouterr().err


def test_a_missing_package_is_one_line_with_the_install_command() -> None:
    said = (
        r"bench gpu: module 'no_such_module' is not installed; `pip install -r requirements/bench-gpu.in &&"
    )
    with pytest.raises(UserError, match=said), missing_packages_named("bench gpu"):
        importlib.import_module("no_such_module.part")
    with pytest.raises(ModuleNotFoundError), missing_packages_named("bench gpu"):  # a fault of ours stays one
        importlib.import_module("fashionseg.no_such_module")


def test_gpu_benchmark_pins_match_the_project(repo: Path) -> None:
    def pins(name: str) -> set[str]:
        lines = (repo / "requirements" / name).read_text().splitlines()
        return {line.split("#")[0].strip() for line in lines if "==" in line.split("#")[0]}

    assert pins("bench-gpu.in") == {"keras==3.15.1"} & pins("base.in")
