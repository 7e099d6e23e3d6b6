"""A network of a few weights behind the contract goes through the stages of dvc.yaml, from training to submission."""

from __future__ import annotations

import csv
import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fashionseg.cli import main
from fashionseg.errors import UserError
from fashionseg.params import PARAMS_FILE, read_yaml
from fashionseg.tracking import StageRun

REPO = Path(__file__).parents[2]
CHANGES = {
    "model.architecture": "toy",
    "model.image_size": 64,
    "inference.score_threshold": 0.0,
    "loader.workers": 0,
    "train.mixed_precision": "auto",
    "train.warmup_steps": 0,
    "train.loss_weights": {"place_loss": 0.5},
    "train.heads.epochs": 1,
    "train.finetune.epochs": 3,
    "train.finetune.learning_rate": 0.01,
    "evaluate.score_thresholds": [0.01, 0.05],
}
TRAINED = ("model.weights.h5", "history.csv", "summary.json", "model.json")

RunStage = Callable[[str], None]


@pytest.fixture
def toy_project(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The sample with another network, not yet trained; the working directory."""
    from fashionseg.model.networks import ARCHITECTURES
    from fashionseg.training.network import set_compute_type
    from toy_network import NAME, build_toy

    monkeypatch.setitem(ARCHITECTURES, NAME, build_toy)
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    for name in ("data/raw", "data/decoded", "data/pose", "data/splits"):
        (project / name).symlink_to(sample / name)
    shutil.copytree(sample / "models/pretrained", project / "models/pretrained")
    monkeypatch.chdir(project)
    write_params(CHANGES, sample)
    yield project
    set_compute_type(mixed_precision=False)  # a stage leaves it as it chose


def write_params(changes: dict[str, Any], source: Path) -> None:
    """params.yaml of `source` with values changed, into the working directory."""
    values = read_yaml(source / PARAMS_FILE)
    for key, value in changes.items():
        *sections, name = key.split(".")
        place = values
        for section in sections:
            place = place[section]
        place[name] = value
    Path(PARAMS_FILE).write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> RunStage:
    """Runs a stage in this process, with the words of its `cmd` in dvc.yaml."""
    stages = read_yaml(REPO / "dvc.yaml")["stages"]

    def run_stage(stage: str) -> None:
        _, _, module, *flags = stages[stage]["cmd"].split()
        monkeypatch.setattr(sys, "argv", [module, *flags])
        importlib.import_module(module).main()

    return run_stage


def trained_bytes(folder: str) -> dict[str, bytes]:
    return {name: Path(folder, name).read_bytes() for name in TRAINED}


class Killed(BaseException):
    pass


@contextmanager
def killed_after(epoch: int) -> Iterator[None]:
    """The training inside ends right after the epoch of that number is stored."""

    def log_metrics(self: StageRun, values: dict[str, Any], step: int = 0) -> None:
        if step == epoch:
            raise Killed

    with pytest.MonkeyPatch.context() as monkeypatch, pytest.raises(Killed):
        monkeypatch.setattr(StageRun, "log_metrics", log_metrics)
        yield


def test_the_stages_take_any_network_behind_the_contract(
    toy_project: Path, run: RunStage, capsys: pytest.CaptureFixture
) -> None:
    for stage in ("train_heads", "finetune", "predict", "evaluate", "submit"):
        run(stage)
    with Path("models/finetuned/history.csv").open(newline="") as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["2", "3", "4"]
    assert {"label_loss", "val_label_loss", "place_loss", "val_place_loss"} <= set(history[0])

    best = json.loads(Path("models/finetuned/summary.json").read_text())["best_epoch"]
    printed = capsys.readouterr().out.splitlines()
    shown_as_best = [line for line in printed if line.startswith("finetune epoch") and "(best)" in line]
    assert shown_as_best[-1].startswith(f"finetune epoch {best}/4 ")
    assert any(line.startswith(f"finetune: best epoch {best} ") for line in printed)

    description = json.loads(Path("models/finetuned/model.json").read_text())
    assert description["model"]["architecture"] == "toy"
    scores = json.loads(Path("reports/metrics.json").read_text())
    assert 0.0 <= scores["competition_score"] <= 1.0
    with Path("reports/submission.csv").open(newline="") as file:
        submitted = {row["ImageId"] for row in csv.DictReader(file)}
    assert submitted == {path.name for path in Path("data/raw/test").iterdir()}
    assert not list(Path(".fashionseg/resume").glob("*"))


def test_a_stage_resumes_to_the_bytes_of_an_undisturbed_one(
    toy_project: Path,
    run: RunStage,
    sample: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    run("train_heads")
    run("finetune")
    undisturbed = trained_bytes("models/finetuned")
    shutil.rmtree("models/finetuned")
    with killed_after(epoch=3):
        run("finetune")
    assert not Path("models/finetuned").exists()
    capsys.readouterr()
    run("finetune")
    assert "finetune: resuming after epoch 3/4" in capsys.readouterr().out
    assert trained_bytes("models/finetuned") == undisturbed
    # The control: another seed ends with other weights.
    write_params({**CHANGES, "seed": 1}, sample)
    run("finetune")
    assert trained_bytes("models/finetuned")["model.weights.h5"] != undisturbed["model.weights.h5"]


@pytest.mark.fault(
    table="processes",
    case="a parameter changed after a training, or during it",
    outcome="trains again from its first epoch; the changed keys in a line",
)
def test_a_training_that_starts_again_says_why(
    toy_project: Path, run: RunStage, sample: Path, capsys: pytest.CaptureFixture
) -> None:
    run("train_heads")
    run("finetune")
    run("finetune")
    assert "starts again" not in capsys.readouterr().out
    write_params({**CHANGES, "train.finetune.epochs": 2}, sample)
    with killed_after(epoch=2):
        run("finetune")
    assert (
        "finetune: starts again at its first epoch, because since the last training train.finetune.epochs (3 -> 2) "
        "changed; train.finetune.from continues from a finished model\n"
    ) in capsys.readouterr().out
    run("finetune")
    assert "starts again" not in capsys.readouterr().out
    # An unfinished training too; other initial weights are named by their folder.
    write_params({**CHANGES, "seed": 1, "train.finetune.epochs": 2}, sample)
    run("train_heads")
    assert "train_heads: starts again at its first epoch, because since the last training seed (" in (
        capsys.readouterr().out
    )
    run("finetune")
    assert ", models/heads changed" in capsys.readouterr().out


def test_finetuning_continues_from_a_finished_model(
    toy_project: Path, run: RunStage, sample: Path, capsys: pytest.CaptureFixture
) -> None:
    run("train_heads")
    run("finetune")
    Path("models/finetuned").rename("models/first")
    first = json.loads(Path("models/first/summary.json").read_text())
    continued = {**CHANGES, "train.finetune.epochs": 1, "train.finetune.learning_rate": 1e-9}
    write_params({**continued, "train.finetune.from": "models/first"}, sample)
    capsys.readouterr()
    run("finetune")
    assert "finetune: continues from models/first, trained for 3 epochs\n" in capsys.readouterr().out
    second = json.loads(Path("models/finetuned/summary.json").read_text())
    assert second["val_loss"] == pytest.approx(first["val_loss"], rel=1e-4)
    # The control: from the heads the same epoch is worse.
    write_params(continued, sample)
    run("finetune")
    assert (
        json.loads(Path("models/finetuned/summary.json").read_text())["val_loss"] > 1.01 * first["val_loss"]
    )


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("models/none", "expected a model folder or a Git tag, got 'models/none', which is neither in "),
        ("data/raw", "data/raw: expected a model folder, found no model.json"),
        (
            "models/finetuned",
            "expected a copy of the model or a Git tag, got models/finetuned, which this stage",
        ),
    ],
)
def test_a_finished_model_that_is_none_is_one_line(
    toy_project: Path, run: RunStage, sample: Path, named: str, expected: str
) -> None:
    Path("models/heads").mkdir()
    shutil.copy(sample / "models/heads/history.csv", "models/heads")
    write_params({**CHANGES, "train.finetune.from": named}, sample)
    with pytest.raises(UserError, match=rf"^train\.finetune\.from: .*{re.escape(expected)}"):
        run("finetune")


def test_a_finished_model_is_read_from_a_git_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fashionseg.stages.finished_model import find_finished

    monkeypatch.chdir(tmp_path)
    Path("models/finetuned").mkdir(parents=True)
    Path("models/finetuned/model.json").write_text("first")
    for words in (
        "git init -q",
        "dvc init -q",
        "dvc add -q models/finetuned",
        "git add -A",
        "git -c user.name=t -c user.email=t@t commit -qm first",
        "git tag finetuned@v1.0.0",
    ):
        subprocess.run(words.split(), check=True, capture_output=True)
    Path("models/finetuned/model.json").write_text("second")
    folder = find_finished("finetuned@v1.0.0", Path("models/finetuned"))
    assert (folder / "model.json").read_text() == "first"
    shutil.rmtree(".dvc/cache")
    assert find_finished("finetuned@v1.0.0", Path("models/finetuned")) == folder  # kept
    shutil.rmtree(folder)
    with pytest.raises(UserError, match=r"of 'finetuned@v1\.0\.0' is not in DVC's cache or storage"):
        find_finished("finetuned@v1.0.0", Path("models/finetuned"))


def test_the_score_of_the_averaged_weights_chooses_the_epoch(
    toy_project: Path, run: RunStage, sample: Path, capsys: pytest.CaptureFixture
) -> None:
    """In history.csv, the summary and the terminal; a resumed stage ends with the same bytes."""
    write_params({**CHANGES, "train.best_epoch": "score", "train.ema_decay": 0.9}, sample)
    run("train_heads")
    run("finetune")
    undisturbed = trained_bytes("models/finetuned")
    with Path("models/finetuned/history.csv").open(newline="") as file:
        scores = [float(row["val_score"]) for row in csv.DictReader(file)]
    assert all(0.0 <= score <= 1.0 for score in scores)
    summary = json.loads(Path("models/finetuned/summary.json").read_text())
    assert summary["val_score"] == pytest.approx(max(scores), rel=1e-5)
    assert f"(validation score {summary['val_score']:.4f}, validation loss " in capsys.readouterr().out
    shutil.rmtree("models/finetuned")
    with killed_after(epoch=3):
        run("finetune")
    run("finetune")
    assert "finetune: resuming after epoch 3/4" in capsys.readouterr().out
    assert trained_bytes("models/finetuned") == undisturbed
    run("predict")
    run("evaluate")
    assert "val_score" in Path("reports/report.html").read_text()


def test_a_state_in_bfloat16_is_not_resumed_in_float32(
    toy_project: Path,
    run: RunStage,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    """`train.mixed_precision: auto`, interrupted on a host with a GPU and run again on one without."""
    from fashionseg.training import hardware

    run("train_heads")
    with monkeypatch.context() as host, killed_after(epoch=3):
        host.setattr(hardware, "_compute_capabilities", lambda: [(9, 0)])
        run("finetune")
    assert "train.mixed_precision: auto, here true" in capsys.readouterr().out
    run("finetune")
    printed = capsys.readouterr().out
    assert "train.mixed_precision: auto, here false" in printed
    assert "resuming" not in printed


def write_coco(folder: Path, sample: Path) -> None:
    """20 of the sample's photos and a json with three categories: a box in each photo."""
    names = sorted(path.name for path in (sample / "data/raw/train").iterdir())[:20]
    images, annotations = [], []
    (folder / "photos").mkdir(parents=True)
    for number, name in enumerate(names):
        shutil.copy(sample / "data/raw/train" / name, folder / "photos" / name)
        with Image.open(folder / "photos" / name) as photo:
            width, height = photo.size
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        box = [10, 10, width - 20, 10, width - 20, height - 20, 10, height - 20]
        annotations.append(
            {"id": number, "image_id": number, "category_id": 5 + number % 3, "segmentation": [box]}
        )
    categories = [{"id": 5 + place, "name": name} for place, name in enumerate(("kimono", "obi", "geta"))]
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )


@pytest.mark.parametrize("has_test_photo", [False, True])
def test_own_categories_go_from_a_coco_json_to_pictures(
    toy_project: Path, run: RunStage, sample: Path, capsys: pytest.CaptureFixture, has_test_photo: bool
) -> None:
    for name in ("raw", "decoded", "pose", "splits"):
        Path("data", name).unlink()
    write_coco(Path("mine"), sample)
    photo = next((sample / "data/raw/test").iterdir())
    if has_test_photo:
        shutil.copy(photo, "mine/photos/unseen.jpg")
    source = {
        "download.source": "coco",
        "download.folder": str(toy_project / "mine/photos"),
        "download.annotations": str(toy_project / "mine/instances.json"),
    }
    write_params({**CHANGES, **source}, sample)
    for stage in ("source", "download", "decode", "pose", "split"):
        run(stage)
    assert "20 objects on 20 photos" in capsys.readouterr().out
    for stage in ("train_heads", "finetune", "predict", "evaluate", "submit"):
        run(stage)
    description = json.loads(Path("models/finetuned/model.json").read_text())
    assert description["categories"] == ["kimono", "obi", "geta"]
    report = Path("reports/report.html").read_text()
    assert "kimono" in report and "jacket" not in report
    with Path("reports/submission.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["ImageId"] for row in rows} == ({"unseen.jpg"} if has_test_photo else set())
    assert {row["ClassId"] for row in rows} <= {"0", "1", "2"}
    assert main(["predict", str(photo), "--out", "shown"]) == 0
    predicted = json.loads(Path("shown/predictions.json").read_text())["photos"][0]["instances"]
    assert {instance["category"] for instance in predicted} <= {"kimono", "obi", "geta"}
