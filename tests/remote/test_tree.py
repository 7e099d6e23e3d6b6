"""Which files go to the host, and which there are safe from deletion."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from remote.tree import changed_names, checkout_files, filter_rules, is_secret

from fashionseg.errors import UserError


@pytest.mark.parametrize(
    "name",
    [
        "kaggle.json",
        ".kaggle/kaggle.json",
        "keys/id_ed25519",
        "a.pem",
        ".env",
        ".dvc/config.local",
        "remote/host.yaml",
    ],
)
def test_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["src/fashionseg/sources/kaggle.py", ".dvc/config", "remote/host.example.yaml"]
)
def test_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_checkout_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracked and new files; neither ignored, nor deleted, nor secret ones."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    for name in ("kept.py", "deleted.py", "kaggle.json"):
        Path(name).touch()
    subprocess.run(["git", "add", "."], check=True)
    Path("deleted.py").unlink()
    Path(".gitignore").write_text("data/\n")
    Path("data").mkdir()
    Path("data/photo.jpg").touch()
    Path("new.py").touch()
    assert checkout_files() == [".gitignore", "kept.py", "new.py"]


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_rules_make_the_workspace_equal_but_keep_what_only_it_has(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for path in (
        here / "src/a.py",
        here / "src/odd [name]*.py",
        here / "src/hidden.py",
        here / "kaggle.json",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in (
        "src/old.py",
        "data/raw/photo.jpg",
        ".fashionseg/state",
        ".dvc/cache/x",
        "src/__pycache__/a.pyc",
        "z",
    ):
        (there / name).parent.mkdir(parents=True, exist_ok=True)
        (there / name).touch()
    rules = tmp_path / "rules"
    rules.write_text(filter_rules(["src/a.py", "src/odd [name]*.py"], ["data/raw"]))

    command = [
        "rsync",
        "-r",
        "--delete",
        "--itemize-changes",
        f"--filter=merge {rules}",
        f"{here}/",
        f"{there}/",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    kept = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
    assert kept == [
        *(".dvc/cache/x", ".fashionseg/state", "data/raw/photo.jpg"),
        *("src/__pycache__/a.pyc", "src/a.py", "src/odd [name]*.py"),
    ]
    assert sorted(changed_names(done.stdout)) == ["src/a.py", "src/odd [name]*.py", "src/old.py", "z"]


def test_a_line_break_in_a_name_is_refused() -> None:
    with pytest.raises(UserError, match="line break"):
        filter_rules(["a\nP *"], [])
