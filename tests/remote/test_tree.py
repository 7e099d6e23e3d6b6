"""Files sent to the host, and files on the host that are protected from deletion."""

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
def test_secret_names_are_recognised(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name", ["src/fashionseg/sources/kaggle.py", ".dvc/config", "remote/host.example.yaml"]
)
def test_other_names_are_not_secrets(name: str) -> None:
    assert not is_secret(name)


def test_checkout_files_are_tracked_or_new_and_needed_by_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ignored, deleted and secret files are excluded, and so are the folders that no stage needs."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    for name in (
        "kept.py",
        "deleted.py",
        "kaggle.json",
        "docs/a.md",
        "tests/a.py",
        "tools/a.py",
        "src/tools/a.py",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    subprocess.run(["git", "add", "."], check=True)
    Path("deleted.py").unlink()
    Path(".gitignore").write_text("data/\n")
    Path("data").mkdir()
    Path("data/photo.jpg").touch()
    Path("new.py").touch()
    assert checkout_files() == [".gitignore", "kept.py", "new.py", "src/tools/a.py"]


@pytest.mark.remote
@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_rules_mirror_the_checkout_and_protect_files_of_the_host(tmp_path: Path) -> None:
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


def test_file_name_with_a_line_break_is_refused() -> None:
    with pytest.raises(UserError, match="line break"):
        filter_rules(["a\nP *"], [])
