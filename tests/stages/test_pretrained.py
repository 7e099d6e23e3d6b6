"""The stage: the weights of each source in its folder, and a failure leaves the earlier ones alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import pytest

from fashionseg.console import exit_code
from fashionseg.params import PARAMS_FILE, read_yaml
from fashionseg.stages.pretrained import main

FOLDER = Path("models/pretrained")


@pytest.fixture(autouse=True)
def _words(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", "--pretrained", str(FOLDER)])


def configure(pretrained: str, backbone: str = "resnet26") -> None:
    values = read_yaml(PARAMS_FILE)
    values["model"]["pretrained"] = pretrained
    values["model"]["backbone"]["name"] = backbone
    PARAMS_FILE.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML


def test_without_pretrained_weights_the_folder_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert [path.name for path in FOLDER.iterdir()] == ["source.json"]
    assert json.loads((FOLDER / "source.json").read_text()) == {"source": "none"}
    assert capsys.readouterr().out == "pretrained: none -> models/pretrained\n"


def test_imagenet_weights_are_those_of_the_backbone_and_the_same_bytes_each_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = {}
    for backbone in ("efficientnet_lite0", "efficientnet_lite2", "efficientnet_lite0"):
        configure("imagenet", backbone)
        main()
        assert capsys.readouterr().out == "pretrained: imagenet -> models/pretrained\n"
        data = (FOLDER / "weights.h5").read_bytes()
        assert written.setdefault(backbone, data) == data
        with h5py.File(FOLDER / "weights.h5") as file:
            assert file.attrs["backbone"] == backbone


def test_a_weight_file_is_copied() -> None:
    Path("mine.h5").write_bytes(b"\x89HDF\r\n\x1a\n rest")
    configure("mine.h5")
    main()
    assert (FOLDER / "weights.h5").read_bytes() == Path("mine.h5").read_bytes()


@pytest.mark.parametrize(
    ("pretrained", "backbone", "line"),
    [
        ("imagenet", "resnet26", "model.pretrained: imagenet has weights for efficientnet_lite0, "),
        ("coco", "efficientnet_lite2", "model.pretrained: coco is a ResNet-101, got efficientnet_lite2"),
        ("gone.h5", "resnet50", "expected none, imagenet, coco or a weight file, got gone.h5: no such file"),
    ],
)
def test_weights_that_do_not_exist_are_one_line_and_the_earlier_ones_stay(
    pretrained: str, backbone: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main()
    configure(pretrained, backbone)
    assert exit_code(main) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    assert [path.name for path in FOLDER.parent.iterdir()] == ["pretrained"]
    assert json.loads((FOLDER / "source.json").read_text()) == {"source": "none"}
