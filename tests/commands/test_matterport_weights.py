"""`fashionseg import-weights` and `export-weights`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fashionseg.cli import main

SMALL = (
    "model.backbone.name=resnet14",
    "model.backbone.width=4",
    "model.image_size=64",
    "model.fpn.channels=8",
    "model.rpn.channels=8",
    "model.box_head.channels=8",
    "model.mask_head.channels=8",
)


@pytest.mark.slow
def test_import_and_export_are_inverses(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fashionseg.model.build import build_mask_rcnn
    from fashionseg.model.weights import save_matterport
    from fashionseg.params import load_params

    assert main(["preset", *SMALL]) == 0
    params = load_params()
    save_matterport(build_mask_rcnn(params.model, 46, params.inference), Path("matterport.h5"))
    assert main(["import-weights", "matterport.h5", "--out", "models/imported"]) == 0
    assert "matterport.h5 -> models/imported: 59 layers loaded" in capsys.readouterr().out
    assert main(["export-weights", "again.h5", "--model", "models/imported"]) == 0
    assert "models/imported -> again.h5: resnet14, 47 classes" in capsys.readouterr().out
    assert Path("again.h5").read_bytes() == Path("matterport.h5").read_bytes()


@pytest.mark.slow
def test_unusable_weights_are_reported_in_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preset", *SMALL]) == 0
    Path("weights.h5").write_text("nothing")
    assert main(["import-weights", "weights.h5"]) == 2
    assert "weights.h5: not a whole HDF5 file" in capsys.readouterr().err
    assert not Path("models").exists()
    assert main(["export-weights", "again.h5"]) == 2
    assert "no such file; expected a folder written by a training stage" in capsys.readouterr().err
