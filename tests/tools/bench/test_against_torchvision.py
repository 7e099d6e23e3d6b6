"""Rows that compare with torchvision on the CPU. The process of torchvision is tested where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tools.bench.against_torchvision import comparison
from tools.bench.inputs import make_photo
from tools.bench.rows import Bench
from tools.bench.settings import SMALL_NETWORK, original_params
from tools.bench.torchvision_cpu import TorchvisionProcess, has_torchvision
from tools.bench.training import make_batch

from fashionseg.params import changed


def test_a_row_is_the_ratio_of_seconds_a_photo_and_quotes_what_was_not_measured(tmp_path: Path) -> None:
    bench = Bench(original_params(), tmp_path, repeats=2)
    calls: list[str] = []
    work = (lambda: calls.append("ours"), 2, "resnet50, 256 px")
    row = comparison(bench, "few", 256, work, lambda: calls.append("peer"), "torchvision 1.2")
    assert calls == ["ours", "peer"] * 3
    assert row.what.startswith("training step") and "torchvision 1.2" in row.note
    assert (row.target, row.lower_is_better) == (1.15, False)
    quoted = comparison(bench, "masks-20", 512, work, None, "quoted")
    assert calls == ["ours", "peer"] * 3 + ["ours"] * 3
    assert quoted.what.startswith("inference") and "quoted" in quoted.note


@pytest.mark.skipif(not has_torchvision(), reason="torchvision is not installed")
def test_torchvisions_process_trains_and_detects_on_request(tmp_path: Path) -> None:
    small = {"model.backbone.name": "resnet14", "model.image_size": 64}
    params = changed(original_params(), SMALL_NETWORK | small)
    photo = make_photo(np.random.default_rng(0), (64, 64))
    with TorchvisionProcess(tmp_path, params, {"few": make_batch(params, 2)}, photo) as peer:
        assert "PyTorch" in peer.run("versions")
        assert peer.run("few") == peer.run("masks-5") == ""
        with pytest.raises(RuntimeError, match="ended with status 1"):
            peer.run("nothing of this name")
