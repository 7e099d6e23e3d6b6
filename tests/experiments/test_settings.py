"""Settings read from folders and Git revisions, joined over seeds or folds, paired by photo."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fashionseg.cli import main
from fashionseg.errors import UserError
from fashionseg.experiments.settings import pair_photos, read_setting


def write_scores(folder: Path, scores: dict[str, float]) -> None:
    (folder / "reports").mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{image_id},{score}\n" for image_id, score in scores.items())
    (folder / "reports/photo_scores.csv").write_text(f"image_id,competition_score\n{rows}")


def photos(*numbers: int, score: float = 0.0) -> dict[str, float]:
    """Names that look like numbers, with a leading 0, and scores that differ."""
    return {f"0{number}": number / 100 + score for number in numbers}


def git(*words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True, capture_output=True
    )


def test_a_constant_shift_is_reported(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scores(project / "a", photos(*range(20)))
    write_scores(project / "b", photos(*reversed(range(20)), score=0.02))
    assert main(["compare", "a", "b"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "A: 0.0950  a",  # the mean of 0.00 to 0.19
        "B: 0.1150  b",
        "B - A: +0.0200, 95 % interval +0.0200 to +0.0200, 20 photos",
        "B is better in 100.0 % of 10000 draws",
        "one seed only: the interval has the spread over photos, not the one over seeds; see `fashionseg seeds`",
        "B is better than A: the interval excludes 0",
    ]
    assert main(["compare", "b", "a/reports"]) == 0
    assert "B is worse than A" in capsys.readouterr().out
    assert main(["compare", "a", "a"]) == 0
    said = capsys.readouterr().out
    assert "interval +0.0000 to +0.0000" in said and "50.0 % of" in said and "no difference shown" in said


def test_revisions_and_the_workspace_are_compared(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git("init", "-q")
    write_scores(project, photos(*range(20)))
    git("add", "-A")
    git("commit", "-qm", "first")
    git("tag", "v1")
    write_scores(project, photos(*range(20), score=0.5))
    assert main(["compare", "v1", "workspace"]) == 0
    assert "B - A: +0.5000" in capsys.readouterr().out
    git("rm", "-q", "--cached", "reports/photo_scores.csv")
    git("commit", "-qm", "without")
    assert main(["compare", "HEAD", "v1"]) == 2
    assert "HEAD: no reports/photo_scores.csv in commit" in capsys.readouterr().err


def test_unpaired_photos_are_counted_and_other_validation_sides_refused(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scores(project / "a", photos(*range(20)))
    write_scores(project / "b", photos(*range(1, 21)))
    write_scores(project / "c", photos(*range(10, 30)))
    assert main(["compare", "a", "b"]) == 0
    said = capsys.readouterr().out
    assert "19 photos" in said and "2 photos have a score in one of the two only" in said
    assert main(["compare", "a", "c"]) == 2
    assert (
        capsys.readouterr().err
        == "error: a and c: expected scores on the same photos, got 20 and 20 photos with 10 in common: other "
        "validation sides; compare runs with the same split\n"
    )


def test_runs_on_the_same_photos_are_seeds_and_on_disjoint_ones_folds(project: Path) -> None:
    write_scores(project / "seed1", photos(1, 2, 3))
    write_scores(project / "seed2", photos(3, 2, 1, score=0.5))
    write_scores(project / "fold", photos(4, 5))
    seeds = read_setting(project, "seed1,seed2")
    assert seeds.scores.to_numpy().tolist() == [[0.01, 0.02, 0.03], [0.51, 0.52, 0.53]]
    folds = read_setting(project, "fold, seed1")
    assert folds.scores.to_numpy().tolist() == [[0.04, 0.05, 0.01, 0.02, 0.03]]
    first, second, unpaired = pair_photos(folds, folds)
    assert first.columns.tolist() == second.columns.tolist() == ["01", "02", "03", "04", "05"]
    assert unpaired == 0
    write_scores(project / "mixed", photos(3, 4))
    with pytest.raises(UserError, match="expected runs on the same photos"):
        read_setting(project, "seed1,mixed")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "nothing: no such folder"),
        ("-q", "-q: no such folder"),
        ("no-*", "no-.*: matches no DVC experiment"),
        (",", "expected the name of a run"),
        ("bad", "bad: .*not readable"),
        ("twice", "twice: .*each once"),
        ("empty", "empty: .*expected photos"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(project: Path, name: str, message: str) -> None:
    for folder, text in {"bad": "a,b\n1,2\n", "twice": "image_id,competition_score\na,1\na,1\n"}.items():
        write_scores(project / folder, {})
        (project / folder / "reports/photo_scores.csv").write_text(text)
    write_scores(project / "empty", {})
    with pytest.raises(UserError, match=message) as error:
        read_setting(project, name)
    assert "\n" not in str(error.value)
