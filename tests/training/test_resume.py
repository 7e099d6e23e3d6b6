"""Interrupted and damaged trainings: they end with the bytes of an undisturbed one, and say what was set aside."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from fashionseg.errors import UserError
from fashionseg.storage.checksums import CHECKSUMS_FILE, write_checksums
from fashionseg.training.state import BEST_FILE, STATE_FILE, WEIGHTS_FILE, TrainingState, stored_epochs
from programs import environment
from toy_training import EPOCHS, Stopped, all_equal, fresh_network, run, weights_of


def stop_after_an_epoch(folder: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(Stopped):
        run(fresh_network(), folder, stop_after=3, **changes)


def kill_in_an_epoch(folder: Path, changes: dict[str, Any]) -> None:
    program = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed_training.py"), folder, json.dumps(changes)],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert program.returncode == -signal.SIGKILL, program.stderr


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9, "backbone_rate": 0.5}], ids=["plain", "averaged"])
@pytest.mark.parametrize("interrupt", [stop_after_an_epoch, kill_in_an_epoch])
def test_an_interrupted_training_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path,
    interrupt: Callable[[Path, dict[str, Any]], None],
    changes: dict[str, Any],
    capsys: pytest.CaptureFixture,
) -> None:
    undisturbed = fresh_network()
    expected = run(undisturbed, tmp_path / "undisturbed", **changes)
    interrupt(tmp_path / "interrupted", changes)
    done = TrainingState(tmp_path / "interrupted").epochs_done
    assert 0 < done < EPOCHS
    resumed = fresh_network()
    result = run(resumed, tmp_path / "interrupted", **changes)

    assert f"finetune: resuming after epoch {1 + done}/4\n" in capsys.readouterr().out
    assert result.history == expected.history
    assert all_equal(weights_of(resumed), weights_of(undisturbed))
    # The control: another seed ends with other weights.
    other = fresh_network(seed=2)
    run(other, tmp_path / "other", **changes)
    assert not all_equal(weights_of(other), weights_of(undisturbed))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def put_a_folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def interrupted_training(folder: Path, **changes: Any) -> list[Path]:
    """Folders of the epochs that a training, interrupted after two of three, leaves in `folder`."""
    with pytest.raises(Stopped):
        run(fresh_network(), folder, stop_after=3, **changes)
    return stored_epochs(folder)


@pytest.mark.parametrize("name", [STATE_FILE, WEIGHTS_FILE, BEST_FILE, CHECKSUMS_FILE])
@pytest.mark.parametrize("damage", [cut_short, change_a_byte, empty, Path.unlink, put_a_folder_in_its_place])
@pytest.mark.fault(
    table="processes",
    case="a file of a training's state cut short, damaged or missing",
    outcome="found by its checksum, the epoch set aside and named in a line; resumed from the epoch before",
)
def test_a_damaged_epoch_is_set_aside_and_the_one_before_resumed(
    tmp_path: Path, damage: Callable[[Path], None], name: str, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "finetune-1"
    folder.mkdir()
    for number in (1, 2):
        epoch = folder / f"epoch-0000{number}"
        epoch.mkdir()
        history = [{"epoch": place, "val_loss": 1 / place} for place in range(1, number + 1)]
        (epoch / STATE_FILE).write_text(json.dumps({"history": history, "best_epoch": number}))
        for weights in (WEIGHTS_FILE, BEST_FILE):
            (epoch / weights).write_bytes(bytes(100))
        write_checksums(epoch)
    damage(folder / "epoch-00002" / name)
    state = TrainingState(folder)
    assert (state.epochs_done, state.best_epoch) == (1, 1)
    (line,) = capsys.readouterr().out.splitlines()
    # A changed digit in the checksums shows as another file that is not as it was written.
    named = r"\w+\.json" if (name, damage) == (CHECKSUMS_FILE, change_a_byte) else re.escape(name)
    assert re.match(f"{re.escape(str(folder))}/epoch-00002: damaged: {named} ", line)
    assert line.endswith("; set aside as finetune-1-epoch-00002.damaged; the epoch before is tried")
    assert (tmp_path / "finetune-1-epoch-00002.damaged").is_dir()


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}], ids=["plain", "averaged"])
def test_a_training_with_a_damaged_epoch_ends_with_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture
) -> None:
    undisturbed = fresh_network()
    expected = run(undisturbed, tmp_path / "undisturbed", **changes)
    epochs = interrupted_training(tmp_path / "state", **changes)
    assert [epoch.name for epoch in epochs] == ["epoch-00001", "epoch-00002"]
    cut_short(epochs[-1] / WEIGHTS_FILE)
    resumed = fresh_network()
    result = run(resumed, tmp_path / "state", **changes)
    assert "finetune: resuming after epoch 2/4\n" in capsys.readouterr().out
    assert result.history == expected.history
    assert all_equal(weights_of(resumed), weights_of(undisturbed))
    # The last two epochs are stored, and what was set aside stays.
    assert [epoch.name for epoch in stored_epochs(tmp_path / "state")] == ["epoch-00002", "epoch-00003"]
    TrainingState(tmp_path / "state").delete()
    assert [path.name for path in sorted(tmp_path.glob("state*"))] == ["state-epoch-00002.damaged"]


@pytest.mark.fault(
    table="processes",
    case="both stored epochs of a training damaged",
    outcome="set aside, a line each; the training starts again",
)
def test_a_training_without_an_undamaged_epoch_starts_again(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for epoch in interrupted_training(tmp_path / "state"):
        cut_short(epoch / BEST_FILE)
    state = TrainingState(tmp_path / "state")
    assert (state.epochs_done, state.best) == (0, None)
    lines = [line for line in capsys.readouterr().out.splitlines() if "damaged" in line]
    assert [line.partition("epoch-")[2][:5] for line in lines] == ["00002", "00001"]
    assert lines[-1].endswith("; no other epoch is stored, the training starts again")


def test_best_weights_damaged_during_the_training_are_one_line_and_cost_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_best = TrainingState.load_best

    def damage_and_load(state: TrainingState, network: keras.Model) -> None:
        cut_short(stored_epochs(state.folder)[-1] / BEST_FILE)
        load_best(state, network)

    monkeypatch.setattr(TrainingState, "load_best", damage_and_load)
    expected = r"epoch-00003: best\.weights\.h5 is not .* run again to resume from the epoch before$"
    with pytest.raises(UserError, match=expected):
        run(fresh_network(), tmp_path / "state")
    assert TrainingState(tmp_path / "state").epochs_done == EPOCHS - 1
