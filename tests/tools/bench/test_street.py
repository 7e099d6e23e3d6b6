"""The comparison on street photos: settings, a failing side, and rows."""

from __future__ import annotations

import itertools
import json
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tools.__main__ import main
from tools.bench.by_the_clock import PROGRESS, Progress
from tools.bench.settings import original_params
from tools.bench.street_batches import converted_ahead
from tools.bench.street_run import (
    SETTINGS,
    SPLIT,
    STATE,
    StreetRun,
    params_of,
    prepare,
    read_ids,
    read_run,
    trial,
)

from fashionseg.errors import UserError
from fashionseg.sample.layout import write_sample
from tools.bench import street


@pytest.fixture
def race(tmp_path: Path) -> Path:
    (tmp_path / SPLIT).write_text(json.dumps({"training": ["a.jpg"] * 40, "validation": ["b.jpg"]}))
    return tmp_path


def trained(race: Path, side: str, seconds: float, steps: int) -> None:
    folder = race / side / STATE
    folder.mkdir(parents=True)
    (folder / PROGRESS).write_text(json.dumps(asdict(Progress(seconds, steps, 3, 1.5))))


def test_rates_count_photos_in_counted_seconds(race: Path) -> None:
    trained(race, "ours", 100.0, 500)
    trained(race, "torchvision", 200.0, 250)
    ours, theirs, ratio = street.rows(race, StreetRun("photos", 10, batch_size=16), {})
    assert (ours.value, theirs.value, ratio.value) == (80.0, 20.0, 4.0)
    assert "500 steps, 200.0 epochs" in ours.note  # of 40 photos
    assert ratio.what == "street photos, rate: ours / torchvision's"


def test_a_failed_side_does_not_hide_the_other(race: Path) -> None:
    trained(race, "ours", 100.0, 500)
    ours, theirs = street.rows(race, StreetRun("photos", 10), {"torchvision": "exited with status 1: no GPU"})
    assert ours.value == 80.0
    assert theirs.what.endswith("failed") and "no GPU" in theirs.note


def test_every_row_of_a_trial_is_marked(race: Path) -> None:
    trained(race, "ours", 100.0, 500)
    assert all(row.what.startswith("TRIAL, no result: ") for row in street.rows(race, trial("photos", 1), {}))


def test_sides_are_processes_that_fail_independently(race: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An interpreter that knows no torchvision side and answers at once for ours.
    script = race / "python"
    script.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\n"
        "if 'torchvision' in sys.argv[2]: sys.exit('error: no GPU')\n"
        "pathlib.Path(sys.argv[3], 'ours', 'detections').mkdir(parents=True)\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    faults = street.run_sides(race, StreetRun("photos", 1), ("ours", "torchvision"), float("inf"))
    assert faults == {"torchvision": "exited with status 1: error: no GPU"}
    assert street.is_done(race, "ours") and not street.is_done(race, "torchvision")


def test_a_side_is_not_started_with_too_little_time(
    race: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert street.run_sides(race, StreetRun("photos", 1), ("ours",), 30.0) == {}
    assert "not started" in capsys.readouterr().out


def test_photos_are_prepared_once_and_other_settings_rejected(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo)
    params = original_params()
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    write_sample(photos, 20, 2, 7)
    run = replace(trial(str(photos), 1.0), validation_fraction=0.2)
    prepare(run, out, params)
    training, validation = read_ids(out)
    assert (len(training), len(validation)) == (16, 4) and not {*training} & {*validation}
    assert read_run(out) == run
    before = (out / SETTINGS).stat().st_mtime_ns
    prepare(run, out, params)
    assert (out / SETTINGS).stat().st_mtime_ns == before
    with pytest.raises(UserError, match=r"got others \(minutes, seed\)"):
        prepare(replace(run, minutes=2.0, seed=1), out, params)


def test_the_comparison_uses_a_full_resnet_50(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo)
    params = params_of(StreetRun("photos", 10), original_params())
    model = params.model
    assert (model.backbone.name, model.backbone.width, model.image_size) == ("resnet50", 64, 512)
    assert model.batch_norm.backbone and model.batch_norm.heads and params.sampling.includes_gt
    assert model.anchors.sizes == (32, 64, 128, 256, 512)


def test_a_number_not_above_zero_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench-street", "photos", "--minutes", "0"]) == 2
    assert "--minutes: expected a number above 0, got 0" in capsys.readouterr().err


def test_conversion_ahead_keeps_order_and_raises_errors() -> None:
    assert list(converted_ahead(iter(range(50)), lambda x: x * x)) == [place * place for place in range(50)]

    def fails(item: int) -> int:
        if item == 2:
            raise ValueError("damaged")
        return item

    results = converted_ahead(iter(range(5)), fails)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="damaged"):
        next(results)


def test_conversion_thread_ends_with_its_iterator() -> None:
    results = converted_ahead(itertools.repeat(3), lambda x: x)
    assert next(results) == 3
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "converted_ahead")
    results.close()
    thread.join(10)
    assert not thread.is_alive()
