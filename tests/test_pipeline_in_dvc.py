"""What must run again after a change, through DVC: our graph with stages that only write their outputs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fashionseg.params import read_yaml
from pipeline import REPO, STAGES, stale_after

# Raw data has photos for training and for the test, decoded photos a taxonomy. The source does not change.
STUB = """
import pathlib, sys
stage, *outs = sys.argv[1:]
params = pathlib.Path("params.yaml").read_text() if stage != "source" else ""
for out in map(pathlib.Path, outs):
    photos, tables = ("train/a.jpg", "train/b.jpg", "test/c.jpg"), ("content", "taxonomy.json")
    places = {"raw": photos, "decoded": tables}.get(out.name, ("content",))
    for file in [out] if out.suffix else [out / place for place in places]:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(params if out.suffix != ".json" else "{}" + params.replace("\\n", " "))
with open("ran", "a") as ran:
    ran.write(stage + " ")
"""


def dvc(*words: str) -> str:
    ended = subprocess.run([sys.executable, "-m", "dvc", *words], check=True, capture_output=True, text=True)
    return ended.stdout


def stages_run_by_repro() -> list[str]:
    """Without `source`, which runs every time."""
    Path("ran").write_text("")
    dvc("repro")
    return sorted(set(Path("ran").read_text().split()) - {"source"})


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our graph, with stages that only write their outputs, in the current folder; all of them have run."""
    stages = read_yaml(REPO / "dvc.yaml")["stages"]
    for name, stage in stages.items():
        stage["cmd"] = f"{sys.executable} stub.py {name} {' '.join(STAGES[name].outs)}"
        stage["deps"] = [path for path in STAGES[name].deps if not path.startswith("src/")]
    (tmp_path / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (tmp_path / "stub.py").write_text(STUB)
    shutil.copy(REPO / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    dvc("init", "--no-scm", "-q")
    assert stages_run_by_repro() == sorted(STAGES.keys() - {"source"})


@pytest.mark.slow
@pytest.mark.usefixtures("graph")
def test_dvc_runs_just_the_stale_stages() -> None:
    assert stages_run_by_repro() == []
    for change in (
        "evaluate.folds=4",
        "model.backbone.name=efficientnet_lite0",
        "train.finetune.epochs=3",
        "train.heads.epochs=7",
        "tracking.experiment=other",
    ):
        key = change.partition("=")[0]
        text = Path("params.yaml").read_text()
        subprocess.run(
            [sys.executable, "-m", "fashionseg.cli", "preset", change], check=True, capture_output=True
        )
        assert Path("params.yaml").read_text() != text
        assert stages_run_by_repro() == sorted(stale_after(key)), change


@pytest.mark.slow
@pytest.mark.usefixtures("graph")
@pytest.mark.parametrize(
    ("folder", "readers"), [("train", ["decode"]), ("test", ["decode", "submit"])], ids=["train", "test"]
)
def test_a_photo_changed_added_or_removed_is_noticed(folder: str, readers: list[str]) -> None:
    """By the stage that made it and by those that read it: `submit` wants the names of the test photos alone."""
    photo = next((Path("data/raw") / folder).iterdir())
    content = photo.read_bytes()
    added = photo.with_name("added.jpg")

    def stale() -> list[str]:
        return sorted(json.loads(dvc("status", "--json")).keys() - {"source"})

    photo.write_bytes(b"changed")
    assert stale() == sorted(["download", *readers])
    photo.unlink()
    assert stale() == sorted(["download", *readers])
    photo.write_bytes(content)
    assert stale() == []
    added.write_bytes(b"new")
    assert stale() == sorted(["download", *readers])
    dvc("commit", "--force", "download")  # as if it had downloaded one photo more
    assert stages_run_by_repro() == readers
