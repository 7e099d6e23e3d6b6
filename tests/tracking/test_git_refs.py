"""DVC's stash of experiments, with DVC's own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvc_project import commit_with_dvc
from fashionseg.tracking.git_refs import drop_unstarted

pytestmark = pytest.mark.slow  # imports DVC


def test_dropping_an_unstarted_experiment_leaves_those_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    (tmp_path / "params.yaml").write_text("rate: 1\n")
    (tmp_path / "dvc.yaml").write_text("stages: {train: {cmd: 'true', params: [rate]}}\n")
    commit_with_dvc(tmp_path)
    monkeypatch.chdir(tmp_path)  # parameter files are relative to it
    with Repo(str(tmp_path)) as repo:
        queue = repo.experiments.tempdir_queue
        for rate, name in enumerate(("theirs", "mine", "mine-2", "mine"), start=2):
            queue.put(params={"params.yaml": [f"rate={rate}"]}, name=name)

        def names() -> list[str | None]:
            return sorted(entry.name for entry in queue.stash.stash_revs.values())

        assert names() == ["mine", "mine", "mine-2", "theirs"]
        drop_unstarted(tmp_path, "mine")
        assert names() == ["mine-2", "theirs"]
        drop_unstarted(tmp_path, "theirs")
        drop_unstarted(tmp_path, "mine-2")
        assert names() == []
        drop_unstarted(tmp_path, "mine-2")
        queue.put(params={"params.yaml": ["rate=9"]}, name="later")
        assert names() == ["later"]
