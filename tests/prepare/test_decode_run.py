"""Running decode: worker processes, the stage, and the real photos."""

import filecmp
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fashionseg.console import exit_code
from fashionseg.data.records import PhotoSource, shard_paths
from fashionseg.data.tables import read_instances
from fashionseg.errors import UserError
from fashionseg.parallel import ordered_map
from fashionseg.prepare.decode import decode_folder
from fashionseg.stages import decode as stage
from fashionseg.taxonomy import LABEL_DESCRIPTIONS
from kaggle_folder import SETTINGS, Folder, square, text

CCP = Path(__file__).parents[3] / "shared" / "ccp"


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_outputs_are_the_same_bytes_whatever_the_number_of_workers(folder, tmp_path):
    for number in range(70):
        folder.photo(f"{number:03d}.jpg")
        folder.row(f"{number:03d}.jpg", text(square(number % 20, number % 15)))
    folder.decode(photos_per_shard=32)
    alone = folder.decoded.rename(tmp_path / "alone")
    folder.decode(photos_per_shard=32, workers=2)
    names = sorted(path.name for path in alone.iterdir())
    assert names == sorted(path.name for path in folder.decoded.iterdir())
    assert [path.name for path in shard_paths(alone, "train")] == [
        f"train-0000{number}-of-00003.arrayrecord" for number in range(3)
    ]
    assert filecmp.cmpfiles(alone, folder.decoded, names, shallow=False) == (names, [], [])


@pytest.mark.fault(
    table="instances",
    case="an instance below `decode.min_area` at the stored size",
    outcome="scored but not trained on, counted on the console",
)
def test_stage_writes_its_folder_and_reports_dropped_rows(folder, monkeypatch, capsys):
    folder.photo("a.jpg")
    folder.row("good.jpg", "1 3", class_id="34")  # below decode.min_area
    folder.decode()
    arguments = ["--raw", str(folder.raw), "--decoded", str(folder.decoded)]
    monkeypatch.setattr("sys.argv", ["decode", *arguments])
    assert exit_code(stage.main) == 0
    assert (
        "1 train photos with 2 instances, 0 test photos; 1 dropped, 0 repaired and 1 kept for scoring only"
        in capsys.readouterr().out
    )
    (folder.raw / "train.csv").write_text("ImageId,Height\n")
    assert exit_code(stage.main) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {folder.raw / 'train.csv'}: row 1: missing column EncodedPixels")
    assert (folder.decoded / "report.json").exists()  # the last good output


def test_killed_worker_is_one_clear_error():
    with pytest.raises(UserError, match=r"worker process was killed; if memory ran out, sell the moon$"):
        list(ordered_map(os._exit, [1, 1, 1], workers=2, to_save_memory="sell the moon"))


@pytest.mark.fault(
    table="processes", case="a decoding worker killed", outcome="one line: lower `decode.workers`"
)
def test_a_killed_worker_of_the_stage_names_its_parameter(folder, monkeypatch):
    for number in range(64):
        folder.photo(f"{number:03d}.jpg")
        folder.row(f"{number:03d}.jpg")
    monkeypatch.setattr("fashionseg.prepare.decode.PhotoDecoder", Deadly)
    with pytest.raises(UserError, match=r"set decode\.workers lower$"):
        folder.decode(workers=2)
    assert not folder.decoded.exists()


class Deadly:
    """Stands for the decoder of a photo that is too much for the memory: ends the worker that receives it."""

    def __init__(self, *_: object) -> None: ...

    def __reduce__(self) -> tuple:
        return os._exit, (1,)


@pytest.mark.skipif(not CCP.exists(), reason="the real photos are not next to the repository")
def test_real_photos(tmp_path):
    """The first photos of the real set: nothing is dropped, and every mask keeps its share of the photo."""
    lines = (CCP / "train.csv").read_text().splitlines()
    raw = tmp_path / "raw"
    (raw / "train").mkdir(parents=True)
    (raw / "test").mkdir()
    kept = [line for line in lines if line[:6] in ("ImageI", "0001.j", "0002.j", "0003.j")]
    (raw / "train.csv").write_text("\n".join(kept) + "\n")
    for name in ("0001.jpg", "0002.jpg", "0003.jpg"):
        (raw / "train" / name).symlink_to(CCP / "train" / name)
    (raw / LABEL_DESCRIPTIONS).symlink_to(CCP / LABEL_DESCRIPTIONS)
    decode_folder(raw, tmp_path / "decoded", replace(SETTINGS, long_side=256))
    assert json.loads((tmp_path / "decoded" / "report.json").read_text())["faults"] == []
    instances = read_instances(tmp_path / "decoded")
    source = PhotoSource(tmp_path / "decoded", "train", [0, 1, 2])
    shares = [
        runs[:, 1].sum() / (record.height * record.width)
        for record in (source[index] for index in range(3))
        for runs in record.runs
    ]
    np.testing.assert_allclose(instances["area_512"] / 512**2, shares, atol=2e-3)
