"""`python -m tools parity`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tools.__main__ import main


@pytest.fixture
def copied(reference_directory: Path, tmp_path: Path) -> Path:
    """A copy of the reference with one file."""
    folder = tmp_path / "reference"
    folder.mkdir()
    shutil.copy(reference_directory / "layer_detection.npz", folder)
    return folder


def change(path: Path, key: str, index: tuple[int, ...], by: float) -> None:
    with np.load(path) as file:
        arrays = dict(file)
    arrays[key] = arrays[key].copy()
    arrays[key][index] += by
    np.savez(path, **arrays)


def test_agreement_prints_a_table_and_exits_with_0(copied, capsys):
    assert main(["parity", "--reference", str(copied)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "layer_detection" in lines
    expected = "detection_a_out classes 2 x 20 0.0e+00 identical ok"
    assert expected in [" ".join(line.split()) for line in lines]
    assert lines[-1] == "12 tensors agree"


def test_differing_value_is_named_and_exits_with_1(copied, capsys):
    change(copied / "layer_detection.npz", "detection_b_out", (1, 3, 5), 1e-3)
    assert main(["parity", "--reference", str(copied)]) == 1
    lines = capsys.readouterr().out.splitlines()
    wrong = [line.split()[:2] for line in lines if line.endswith("DIFFERS")]
    assert wrong == [["detection_b_out", "scores"]]
    assert lines[-1] == "12 tensors compared, 1 differ"


def test_missing_unreadable_and_unknown_files_are_reported(copied, capsys, tmp_path):
    assert main(["parity", "--reference", str(tmp_path / "none")]) == 2
    assert "none: no such folder; pass one with --reference" in capsys.readouterr().err
    assert main(["parity", "--reference", str(copied), "--only", "losses"]) == 2
    assert "no losses among layer_detection" in capsys.readouterr().err
    (copied / "layer_detection.npz").write_bytes(b"PK truncated")
    assert main(["parity", "--reference", str(copied)]) == 2
    assert "layer_detection.npz: not readable" in capsys.readouterr().err
    (copied / "layer_detection.npz").rename(copied / "surprise.npz")
    assert main(["parity", "--reference", str(copied)]) == 2
    assert "surprise.npz: expected a name that starts with one of" in capsys.readouterr().err
