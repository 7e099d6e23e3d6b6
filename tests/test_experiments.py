"""DVC experiments and tracking together: each way to run is one run, named as in `dvc exp show`, with whole curves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fashionseg.tracking.journal import Journal, stored_journals

# Three stages that log as ours do, and cost nothing.
STAGE = """
import sys
from pathlib import Path
from fashionseg import tracking
from fashionseg.params import load_params

stage, out = sys.argv[1], Path(sys.argv[2])
params = load_params()
out.mkdir()
with tracking.stage_run(stage, params) as run:
    if stage == "evaluate":
        run.log_histories(Path("heads/history.csv"), Path("finetuned/history.csv"))
        run.log_metrics({"competition_score": params.evaluate.folds / 10})
        (out / "metrics.json").write_text("{}")
    else:
        is_heads = stage == "train_heads"
        rate = params.train.heads.learning_rate if is_heads else params.train.finetune.learning_rate
        rows = ["epoch,stage,loss"]
        for epoch in (1, 2) if is_heads else (3, 4):
            run.log_metrics({"loss": rate / epoch}, step=epoch)
            rows.append(f"{epoch},{stage},{rate / epoch!r}")
        (out / "history.csv").write_text("\\n".join(rows))
"""
STAGES = {
    "train_heads": {"outs": ["heads"], "params": ["train.heads"]},
    "finetune": {"outs": ["finetuned"], "params": ["train.finetune"], "deps": ["heads"]},
    "evaluate": {"outs": ["scores"], "params": ["evaluate"], "deps": ["heads", "finetuned"]},
}
CURVE = [(1, 0.001), (2, 0.0005), (3, 0.001 / 3), (4, 0.00025)]


def call(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def dvc(*words: str) -> str:
    return call(sys.executable, "-m", "dvc", *words)


def curve(journal: Journal) -> list[tuple[int, float]]:
    return sorted(
        (record["step"], record["values"]["loss"])
        for record in journal.records()
        if record["kind"] == "metrics" and "loss" in record["values"]
    )


def tags(journal: Journal) -> dict[str, str]:
    found: dict[str, str] = dict(journal.records()[0]["tags"])
    for record in journal.records():
        found |= record["values"] if record["kind"] == "tags" else {}
    return found


@pytest.mark.pipeline
def test_every_way_to_run_is_one_run_with_whole_curves(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}.items():
        monkeypatch.setenv(variable, value)
    (project / ".dvc").rmdir()
    call("git", "init", "-q", "-b", "main")
    call("git", "config", "user.name", "t")
    call("git", "config", "user.email", "t@example.org")
    dvc("init", "-q")
    (project / "stage.py").write_text(STAGE)
    stages = {
        name: {"cmd": f"{sys.executable} stage.py {name} {stage['outs'][0]}", **stage}
        for name, stage in STAGES.items()
    }
    (project / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (project / ".gitignore").write_text("/heads\n/finetuned\n/scores\n/.fashionseg/\n")
    call("git", "add", "-A")
    call("git", "commit", "-q", "-m", "first")
    commit = call("git", "rev-parse", "HEAD").strip()

    dvc("repro")
    dvc("exp", "run", "-n", "in-place", "-S", "evaluate.folds=4")
    dvc("exp", "run", "--temp", "-n", "elsewhere", "-S", "train.finetune.learning_rate=1e-4")

    journals = {
        journal.records()[0]["name"]: journal for journal in stored_journals(project / ".fashionseg/journal")
    }
    plain = next(name for name in journals if name.startswith(commit[:7]))
    assert set(journals) == {plain, "in-place", "elsewhere"}

    assert curve(journals[plain]) == CURVE
    assert "history.from_cache" not in tags(journals[plain])

    assert curve(journals["in-place"]) == CURVE
    assert tags(journals["in-place"])["history.from_cache"] == "heads,finetune"

    assert curve(journals["elsewhere"]) == [*CURVE[:2], (3, 1e-4 / 3), (4, 2.5e-5)]
    assert tags(journals["elsewhere"])["history.from_cache"] == "heads"
    assert journals["elsewhere"].records()[0]["params"]["train.finetune.learning_rate"] == 0.0001

    for name in ("in-place", "elsewhere"):
        assert (tags(journals[name])["DVC_EXP_NAME"], tags(journals[name])["git.commit"]) == (name, commit)
    shown = dvc("exp", "list", "--name-only").split()
    assert sorted(shown) == ["elsewhere", "in-place"]
