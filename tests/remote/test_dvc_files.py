"""Outputs and cache objects from dvc.yaml, dvc.lock and the cache, and the choice of outputs to fetch."""

from __future__ import annotations

import json
from pathlib import Path

from remote.dvc_files import Output, choose, locked_outputs, needed_objects, outputs
from remote.fetch import merge_lines

PIPELINE = {
    "stages": {
        "decode": {"outs": ["data/decoded"]},
        "evaluate": {
            "metrics": [{"reports/metrics.json": {"cache": False}}],
            "outs": [{"reports/pictures": {"persist": True}}],
        },
    }
}
LOCK = {
    "stages": {
        "decode": {"outs": [{"path": "data/decoded", "md5": "ab12.dir", "size": 70}]},
        "evaluate": {"outs": [{"path": "reports/metrics.json", "md5": "cd34", "size": 5}]},
    }
}
DECODED = Output("decode", "data/decoded", "ab12.dir", 70, is_cached=True)
METRICS = Output("evaluate", "reports/metrics.json", "cd34", 5, is_cached=False)


def test_outputs_of_the_pipeline() -> None:
    expected = {"data/decoded": True, "reports/metrics.json": False, "reports/pictures": True}
    assert outputs(PIPELINE) == expected


def test_locked_outputs() -> None:
    assert locked_outputs(LOCK, PIPELINE) == [DECODED, METRICS]
    assert locked_outputs({}, PIPELINE) == []


def test_needed_objects_are_the_folder_and_its_files(tmp_path: Path) -> None:
    assert needed_objects(tmp_path, [DECODED, METRICS]) == ["files/md5/ab/12.dir"]
    (tmp_path / "files/md5/ab").mkdir(parents=True)
    listing = [{"md5": "ee55", "relpath": "a"}, {"md5": "ee55", "relpath": "b"}]
    (tmp_path / "files/md5/ab/12.dir").write_text(json.dumps(listing))
    assert needed_objects(tmp_path, [DECODED, METRICS]) == ["files/md5/ab/12.dir", "files/md5/ee/55"]


def test_large_outputs_stay_on_the_host_except_models() -> None:
    raw = Output("download", "data/raw", "00.dir", 19_000_000_000, is_cached=True)
    weights = Output("finetune", "models/finetuned", "11.dir", 3_000_000_000, is_cached=True)
    found = [raw, DECODED, weights, METRICS]
    assert choose(found, 2.0, models=True) == ([DECODED, weights, METRICS], [raw])
    assert choose(found, 2.0, models=False) == ([DECODED, METRICS], [raw, weights])
    assert choose(found, float("inf"), models=True) == (found, [])


def test_journals_are_merged_without_loss_or_repetition() -> None:
    assert merge_lines(["1\n", "2\n", "ours\n"], ["1\n", "2\n", "3\n"]) == ["3\n"]
    assert merge_lines([], ["1\n"]) == ["1\n"]
