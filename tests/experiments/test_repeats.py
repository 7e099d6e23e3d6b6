"""Seeds and folds over a stand-in pipeline: real DVC experiments, resumed and not run twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dvc_project import commit_with_dvc
from fashionseg.cli import main
from fashionseg.experiments.summary import Spread

# Ten photos; the score of a photo is its number / 100 plus what the seed adds. With folds, every k-th is validated on.
STAGE = """
import json, sys
from pathlib import Path
from fashionseg import tracking
from fashionseg.params import load_params
params = load_params()
if params.seed == 2020 and Path(sys.argv[1]).exists():
    sys.exit("disk on fire")
split = params.split
numbers = range(10) if split.folds is None else range(split.fold, 10, split.folds)
scores = {f"{number:02d}": number / 100 + (params.seed - 2019) / 10 for number in numbers}
mean = sum(scores.values()) / len(scores)
with tracking.stage_run("evaluate", params) as run:
    run.log_metrics({"competition_score": mean})
reports = Path("reports")
reports.mkdir(exist_ok=True)
rows = "".join(f"{name},{score}\\n" for name, score in scores.items())
(reports / "photo_scores.csv").write_text(f"image_id,competition_score\\n{rows}")
(reports / "metrics.json").write_text(json.dumps({"competition_score": mean, "coco": {"mask": {"ap50": mean / 2}}}))
"""


@pytest.fixture
def committed(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in pipeline in a Git clone with DVC; it was never run."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    (project / ".dvc").rmdir()
    (project / "src").mkdir()
    (project / "src/stage.py").write_text(STAGE)
    stage = {
        "cmd": f"{sys.executable} src/stage.py {project}/.fashionseg/broken",
        "deps": ["src/stage.py"],
        "params": ["seed", "split", "augment"],
        "metrics": [{"reports/metrics.json": {"cache": False}}],
        "outs": [{"reports/photo_scores.csv": {"cache": False}}],
    }
    (project / "dvc.yaml").write_text(json.dumps({"stages": {"evaluate": stage}}))
    (project / ".gitignore").write_text("/.fashionseg/\n")
    commit_with_dvc(project)
    return project


def experiments() -> dict[str, str]:
    """Name and commit of each."""
    command = ["git", "for-each-ref", "--format=%(refname:lstrip=4) %(objectname)", "refs/exps/??/*/*"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return dict(line.split() for line in lines)


@pytest.mark.slow
def test_seeds_are_run_once_and_resumed_after_a_failure(
    committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (committed / "params.yaml").read_text()
    call = ["seeds", "-S", "augment.flip_probability=0.25", "--name", "flip", "--json", "out/seeds.json"]
    broken = committed / ".fashionseg/broken"
    broken.parent.mkdir(exist_ok=True)
    broken.touch()
    assert main([*call, "--seeds", "2"]) == 2
    assert "flip-2020: failed with exit status" in capsys.readouterr().err
    first = experiments()
    assert set(first) == {"flip-2019"}

    broken.unlink()
    assert main([*call, "--seeds", "3"]) == 0
    said = capsys.readouterr().out
    assert "flip-2019: has been run with these parameters and this code" in said
    after = experiments()
    assert set(after) == {"flip-2019", "flip-2020", "flip-2021"}
    assert after["flip-2019"] == first["flip-2019"]
    # Scores 0.045, 0.145 and 0.245: deviation 0.1, and t(0.975, 2) = 4.3027, so the half width is 0.2484.
    assert (
        "competition score: mean 0.1450, standard deviation 0.1000, 95 % t-interval -0.1034 to 0.3934" in said
    )
    written = json.loads((committed / "out/seeds.json").read_text())
    assert [run["value"] for run in written["runs"]] == [2019, 2020, 2021]
    assert written["runs"][2]["mask_ap50"] == pytest.approx(0.1225)
    assert all(run["seconds"] is not None for run in written["runs"])
    assert written["changes"] == {"augment.flip_probability": 0.25}
    assert (committed / "params.yaml").read_text() == before

    # Another setting under the name does not reuse, nor overwrite; the settings are compared over seeds and photos.
    assert main(["seeds", "--name", "flip", "--seeds", "1"]) == 0
    assert set(experiments()) == {*after, "flip-2019.2"}
    capsys.readouterr()
    assert main(["compare", "flip-2019.2", "flip-202?"]) == 0
    assert "B - A: +0.1500" in capsys.readouterr().out

    # Changed code gives new results.
    with (committed / "src/stage.py").open("a") as file:
        file.write("# changed\n")
    assert main(["seeds", "--name", "flip", "--seeds", "1"]) == 0
    assert set(experiments()) == {*after, "flip-2019.2", "flip-2019.3"}


@pytest.mark.slow
def test_cross_validation_scores_every_photo_once(
    committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cross-validate", "--folds", "2", "--json", "folds.json"]) == 0
    said = capsys.readouterr().out
    assert "competition score of all 10 photos, out of fold: 0.045 (" in said  # of 0.00 to 0.09
    written = json.loads((committed / "folds.json").read_text())
    assert [run["num_photos"] for run in written["runs"]] == [5, 5]
    assert written["summary"]["mask_ap50"] == pytest.approx(0.0225)  # of 0.02 and 0.025
    low, high = written["summary"]["competition_score_interval"]
    assert 0.02 < low < 0.045 < high < 0.07
    names = experiments()
    assert main(["cross-validate", "--folds", "2"]) == 0
    assert experiments() == names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds", "-S", "seed=3"], "seed: cannot be set, it is what varies"),
        (["seeds", "-S", "augment.flip=3"], "augment.flip: no such key in params.yaml"),
        (
            ["seeds", "-S", "augment.flip_probability=3"],
            "augment.flip_probability: input should be less than",
        ),
        (["seeds", "--seeds", "0"], "--seeds: expected at least 1, got 0"),
        (["cross-validate", "--folds", "1"], "--folds: expected at least 2, got 1"),
        (["cross-validate", "-S", "split.folds=3"], "split.folds: cannot be set, use --folds"),
        (["cross-validate", "-S", "split.fold=3"], "split.fold: cannot be set, it is what varies"),
    ],
)
def test_mistakes_are_one_line_and_run_nothing(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(words) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert not list((project / ".fashionseg").rglob("*.log"))


def test_one_value_has_no_spread() -> None:
    assert Spread.of([0.25]) == Spread(0.25, None, None)
    assert str(Spread.of([0.25])) == "0.2500"


@pytest.mark.parametrize("command", [["seeds", "--seeds", "1"], ["cross-validate", "--folds", "2"], ["tune"]])
@pytest.mark.fault(
    table="processes",
    case="`make seeds`, `make cross-validation`, `make tune` without Git or without a commit",
    outcome="one line with the command that makes one",
)
def test_experiments_without_a_commit_name_the_command_that_helps(
    project: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "name": "a",
        "trials": 1,
        "seed": 1,
        "pruning": {"startup_trials": 1, "warmup_epochs": 1},
        "space": {"train.weight_decay": {"low": 0.1, "high": 0.2}},
    }
    (project / "tune.yaml").write_text(json.dumps(settings))
    for words in ([], ["git", "init", "-q"]):
        if words:
            subprocess.run(words, cwd=project, check=True)
        assert main(command) == 2
        assert "`git init && git add -A && git commit -m first` makes it" in capsys.readouterr().err
    commit(project)
    (project / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    assert main(command) == 2
    assert "`dvc config --local --unset core.no_scm` undoes it" in capsys.readouterr().err


def commit(folder: Path) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "add", "params.yaml"], cwd=folder, check=True)
    subprocess.run([*git, "commit", "-qm", "first"], cwd=folder, check=True)
