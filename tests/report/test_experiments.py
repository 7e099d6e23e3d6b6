"""DVC experiments and tracking together: each way to run is one run, named as in `dvc exp show`, with whole curves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fashionseg.tracking.cached import log_cached_runs
from fashionseg.tracking.journal import Journal, stored_journals
from fashionseg.tracking.scores import final_scores

# Three stages that log as ours do, and cost nothing.
STAGE = """
import json, sys
from pathlib import Path
from fashionseg import tracking
from fashionseg.params import load_params

stage, out = sys.argv[1], Path(sys.argv[2])
params = load_params()
with tracking.stage_run(stage, params) as run:
    if stage == "evaluate":
        out.parent.mkdir(exist_ok=True)
        out.write_text(json.dumps({"competition_score": params.evaluate.folds / 10}))
        run.log_histories(Path("models/heads/history.csv"), Path("models/finetuned/history.csv"))
        run.log_reports(Path("reports"))
    else:
        out.mkdir(parents=True)
        is_heads = stage == "train_heads"
        rate = params.train.heads.learning_rate if is_heads else params.train.finetune.learning_rate
        rows = ["epoch,stage,loss"]
        for epoch in (1, 2) if is_heads else (3, 4):
            run.log_metrics({"loss": rate / epoch}, step=epoch)
            rows.append(f"{epoch},{stage},{rate / epoch!r}")
        (out / "history.csv").write_text("\\n".join(rows))
"""
STAGES = {
    "train_heads": {"outs": ["models/heads"], "params": ["train.heads"]},
    "finetune": {"outs": ["models/finetuned"], "params": ["train.finetune"], "deps": ["models/heads"]},
    "evaluate": {
        "outs": [{"reports/metrics.json": {"cache": False}}],
        "params": ["evaluate"],
        "deps": ["models/heads", "models/finetuned"],
    },
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


def named(project: Path) -> dict[str, Journal]:
    """Journals by the name of their run, which no two share."""
    journals = stored_journals(project / ".fashionseg/journal")
    by_name = {journal.records()[0]["name"]: journal for journal in journals}
    assert len(by_name) == len(journals)
    return by_name


@pytest.fixture
def pipeline(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The three stages, committed, and `dvc repro` done."""
    for variable, value in {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}.items():
        monkeypatch.setenv(variable, value)
    (project / ".dvc").rmdir()
    call("git", "init", "-q", "-b", "main")
    call("git", "config", "user.name", "t")
    call("git", "config", "user.email", "t@example.org")
    dvc("init", "-q")
    (project / "stage.py").write_text(STAGE)
    stages = {
        name: {"cmd": f"{sys.executable} stage.py {name} {next(iter(stage['outs'][0]))}", **stage}
        if name == "evaluate"
        else {"cmd": f"{sys.executable} stage.py {name} {stage['outs'][0]}", **stage}
        for name, stage in STAGES.items()
    }
    (project / "dvc.yaml").write_text(json.dumps({"stages": stages}))
    (project / ".gitignore").write_text("/models/\n/.fashionseg/\n")
    call("git", "add", "-A")
    call("git", "commit", "-q", "-m", "first")
    dvc("repro")
    return project


@pytest.mark.slow
def test_every_way_to_run_gives_one_run_with_complete_curves(pipeline: Path) -> None:
    commit = call("git", "rev-parse", "HEAD").strip()
    dvc("exp", "run", "-n", "in-place", "-S", "evaluate.folds=4")
    dvc("exp", "run", "--temp", "-n", "elsewhere", "-S", "train.finetune.learning_rate=1e-4")

    journals = named(pipeline)
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


@pytest.mark.slow
def test_fully_cached_runs_are_logged_once(pipeline: Path) -> None:
    commit = call("git", "rev-parse", "HEAD").strip()
    dvc("exp", "run", "-n", "in-place", "-S", "evaluate.folds=4")
    dvc("exp", "run", "-n", "again")  # the same under another name
    assert "again" not in named(pipeline), "no stage ran, so none logged"
    before = {journal.path: journal.path.read_bytes() for journal in named(pipeline).values()}

    log_cached_runs(pipeline)
    again = named(pipeline)["again"]
    assert curve(again) == CURVE
    assert final_scores(again) == {"competition_score": 0.4}
    assert (tags(again)["DVC_EXP_NAME"], tags(again)["git.commit"]) == ("again", commit)
    assert tags(again)["history.from_cache"] == "heads,finetune,evaluate"
    assert again.records()[0]["params"]["evaluate.folds"] == 4
    assert [record["path"] for record in again.records() if record["kind"] == "file"] == [
        "reports/metrics.json"
    ]
    assert {path: path.read_bytes() for path in before} == before, "those that ran are left alone"

    after = again.path.read_bytes()
    log_cached_runs(pipeline)
    assert named(pipeline)["again"].path.read_bytes() == after

    # As in a clone that pulled everything; the workspace is the result of the experiment in-place.
    shutil.rmtree(pipeline / ".fashionseg")
    log_cached_runs(pipeline)
    assert set(named(pipeline)) == {"in-place", "again"}
    for name in ("in-place", "again"):
        dvc("exp", "remove", name)
    shutil.rmtree(pipeline / ".fashionseg")
    log_cached_runs(pipeline)
    (plain,) = named(pipeline).values()
    assert plain.records()[0]["name"].startswith(commit[:7])
    assert final_scores(plain) == {"competition_score": 0.4}


@pytest.mark.slow
def test_outputs_of_other_parameters_are_not_logged(pipeline: Path) -> None:
    shutil.rmtree(pipeline / ".fashionseg")
    params = pipeline / "params.yaml"
    params.write_text(params.read_text().replace("folds: 5", "folds: 3"))
    log_cached_runs(pipeline)
    assert named(pipeline) == {}
