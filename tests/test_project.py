"""Paths of the project and of its state."""

from __future__ import annotations

from pathlib import Path

import pytest

from fashionseg.project import checkout_root, state_folder


def test_state_lies_in_the_checkout_from_any_folder_of_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "deep").mkdir()
    monkeypatch.chdir(project / "deep")
    assert checkout_root() == project
    assert state_folder("kaggle") == project / ".fashionseg" / "kaggle"
    assert not state_folder().exists()


def test_state_lies_in_the_real_checkout_when_a_stage_runs_in_a_copy(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("copy"))
    monkeypatch.setenv("DVC_ROOT", str(project))
    assert state_folder("journal") == project / ".fashionseg" / "journal"
