"""The stage `source`, and with it `download`: a change in the user's folder is noticed, no change copies nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fashionseg
from fashionseg.errors import UserError
from fashionseg.params import flatten, read_yaml
from fashionseg.sources.folder import FILES
from fashionseg.stages.source import main

STATE = Path("reports/source.json")


def write_folder(folder: Path) -> Path:
    for name in ("train/a.jpg", "train/b.jpg", "test/c.jpg", *FILES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    labels = Path(fashionseg.__file__).with_name("label_descriptions.json")
    (folder / "label_descriptions.json").write_bytes(labels.read_bytes())
    return folder


def configure(project: Path, source: str, folder: str | None = None) -> None:
    """params.yaml with another source."""
    path = project / "params.yaml"
    text = path.read_text()
    old = {key: value for key, value in flatten(read_yaml(path)).items() if key.startswith("download.")}
    text = text.replace(f"source: {old['download.source']}", f"source: {source}", 1)
    given = "null" if old["download.folder"] is None else old["download.folder"]
    path.write_text(text.replace(f"folder: {given}", f"folder: {folder or 'null'}", 1))


def state() -> dict[str, str]:
    main(["--state", str(STATE)])
    return json.loads(STATE.read_text())


@pytest.fixture
def folder(project: Path) -> Path:
    """A folder in Kaggle's layout, which params.yaml names as the source."""
    configure(project, "folder", str(project / "mine"))
    return write_folder(project / "mine")


def test_the_committed_state_is_that_of_the_sample(project: Path, repo: Path) -> None:
    state()
    assert STATE.read_text() == (repo / STATE).read_text()


@pytest.mark.parametrize("source", ["sample", "kaggle"])
def test_sources_that_do_not_change_are_their_name(project: Path, source: str) -> None:
    configure(project, source)
    assert state() == {"source": source}


@pytest.mark.usefixtures("folder")
def test_an_unchanged_folder_leaves_the_file_untouched() -> None:
    state()
    os.utime(STATE, (1, 1))
    state()
    assert STATE.stat().st_mtime == 1


@pytest.mark.parametrize("name", ["train/new.jpg", "test/new.jpg"])
def test_an_added_photo_changes_the_state(folder: Path, name: str) -> None:
    before = state()
    (folder / name).write_text("new")
    assert state() != before


@pytest.mark.parametrize("name", ["train/a.jpg", "test/c.jpg", "train.csv"])
def test_a_changed_file_changes_the_state(folder: Path, name: str) -> None:
    before = state()
    stat = (folder / name).stat()
    os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    touched = state()
    assert touched != before
    (folder / name).write_text("longer than before")
    os.utime(folder / name, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert state() not in (before, touched)


def test_a_removed_photo_changes_the_state(folder: Path) -> None:
    before = state()
    (folder / "train/a.jpg").unlink()
    assert state() != before


@pytest.mark.parametrize("name", ["train/.DS_Store", "notes.txt", "train/below/d.jpg"])
def test_files_that_are_not_copied_do_not_count(folder: Path, name: str) -> None:
    before = state()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    assert state() == before


def test_a_missing_folder_keeps_the_state_of_its_last_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the GPU host, or with the disk unplugged, the stages work with what was copied."""
    before = state()
    shutil.rmtree(folder)
    assert state() == before
    assert (
        capsys.readouterr().out == f"source: {folder} is not there; data/raw stays as it was copied from it\n"
    )


def test_a_missing_folder_that_was_never_read_is_an_error(project: Path, folder: Path) -> None:
    state()
    configure(project, "folder", str(project / "other"))
    with pytest.raises(UserError, match="other: no such folder; expected Kaggle's layout"):
        state()


# --- through DVC ---------------------------------------------------------------------------------------------------


def run(*words: str) -> str:
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def dvc(*words: str) -> str:
    return run(sys.executable, "-m", "dvc", *words)


@pytest.fixture
def pipeline(project: Path, repo: Path) -> Path:
    """A Git checkout with the stages `source` and `download` as committed, and a relative folder as the source."""
    stages = read_yaml(repo / "dvc.yaml")["stages"]
    chosen = {name: stages[name] for name in ("source", "download")}
    for stage in chosen.values():
        stage["cmd"] = stage["cmd"].replace("python", sys.executable, 1)
        stage["deps"] = [path for path in stage["deps"] if not path.startswith("src/")]
    (project / "dvc.yaml").write_text(json.dumps({"stages": chosen}))
    configure(project, "folder", "mine")
    write_folder(project / "mine")
    (project / ".dvc").rmdir()
    run("git", "init", "-q")
    run("git", "config", "user.email", "a@b.c")
    run("git", "config", "user.name", "a")
    (project / ".gitignore").write_text("/mine/\n/data/\n/models/\n")
    dvc("init", "-q")
    assert "Running stage 'download'" in dvc("repro")
    run("git", "add", ".")
    run("git", "commit", "-qm", "start")
    return project


def test_repro_copies_again_when_the_folder_changes_and_only_then(pipeline: Path) -> None:
    assert "Stage 'download' didn't change, skipping" in dvc("repro")
    mine, raw = pipeline / "mine/train", pipeline / "data/raw/train"
    (mine / "new.jpg").write_text("new")
    (mine / "b.jpg").write_text("changed")
    (mine / "a.jpg").unlink()
    assert "Running stage 'download'" in dvc("repro")
    assert {path.name: path.read_text() for path in raw.iterdir()} == {"new.jpg": "new", "b.jpg": "changed"}
    assert "Stage 'download' didn't change, skipping" in dvc("repro")


def test_experiments_in_copies_read_the_same_folder(pipeline: Path) -> None:
    """Also a relative one, which in the copy would be nowhere."""
    skipped = "Stage 'download' didn't change, skipping"
    assert skipped in dvc("exp", "run", "--temp", "-n", "unchanged", "-S", "seed=1")
    assert not (pipeline / "data/raw/train/new.jpg").exists()
    (pipeline / "mine/train/new.jpg").write_text("new")
    assert "Running stage 'download'" in dvc("exp", "run", "--temp", "-n", "temporary", "-S", "seed=2")
    dvc("exp", "run", "--queue", "-n", "queued", "-S", "seed=3")
    dvc("exp", "run", "--run-all")
    listings = [
        run("git", "show", f"{ref}:reports/source.json")
        for ref in run("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
        if ref.endswith(("temporary", "queued"))
    ]
    assert len(listings) == 2
    assert len(set(listings)) == 1
    assert listings[0] != STATE.read_text()
