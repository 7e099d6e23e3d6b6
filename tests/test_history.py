"""The reader of history.csv."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.history import join_histories, read_history


def write_stage(folder: Path, rows: list[str], summary: str | None = None) -> Path:
    folder.mkdir(parents=True)
    text = "epoch,stage,loss,val_loss,learning_rate\n" + "".join(f"{row}\n" for row in rows)
    (folder / "history.csv").write_text(text)
    if summary is not None:
        (folder / "summary.json").write_text(summary)
    return folder


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    return write_stage(tmp_path / "heads", ["1,heads,3,3.5,0.001", "2,heads,2.5,3,0.001"])


@pytest.fixture
def finetuned(tmp_path: Path) -> Path:
    """The second of three epochs was the best."""
    rows = ["3,finetune,2,2.5,1e-4", "4,finetune,1.5,2,1e-4", "5,finetune,1,2.2,1e-4"]
    return write_stage(tmp_path / "finetuned", rows, '{"best_epoch": 4}')


def test_epochs_are_counted_over_all_stages(heads: Path, finetuned: Path):
    history = join_histories(heads, finetuned)
    assert history.stages == (("heads", 2), ("finetuned", 5))
    assert history.epochs["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert history.curve("loss") == {1: 3, 2: 2.5, 3: 2, 4: 1.5, 5: 1}
    assert history.best_epoch == 4


def test_stage_numbered_from_one_is_renumbered(heads: Path, tmp_path: Path):
    second = write_stage(tmp_path / "again", ["1,b,1,2,1", "2,b,1,1,1"], '{"best_epoch": 2}')
    history = join_histories(heads, second)
    assert history.epochs["epoch"].tolist() == [1, 2, 3, 4]
    assert history.best_epoch == 4


def test_lowest_validation_loss_is_best_without_a_summary(heads: Path, finetuned: Path):
    (finetuned / "summary.json").unlink()
    assert join_histories(heads, finetuned).best_epoch == 4


def test_lowest_finite_validation_loss_is_best(tmp_path: Path):
    folder = write_stage(tmp_path / "run", ["1,run,3,nan,1", "2,run,2,5,1", "3,run,1,inf,1"])
    assert join_histories(folder).best_epoch == 2


def test_diverged_loss_is_a_gap(tmp_path: Path):
    folder = write_stage(tmp_path / "run", ["1,run,3,nan,1", "2,run,inf,,1", "3,run,1,oops,1"])
    history = join_histories(folder)
    np.testing.assert_equal(history.curve("loss"), {1: 3.0, 2: np.nan, 3: 1.0})
    assert np.isnan(list(history.curve("val_loss").values())).all()
    assert history.best_epoch is None


def test_losses_are_named_by_the_columns(tmp_path: Path):
    """Names that this project's networks do not have; `seconds` is no loss, `centre` is validated like one."""
    (tmp_path / "history.csv").write_text(
        "epoch,stage,loss,focal_loss,centre,seconds,learning_rate,val_loss,val_focal_loss,val_centre\n"
        "1,s,1,1,1,1,1,1,1,1\n"
    )
    assert join_histories(tmp_path).losses == ["loss", "focal_loss", "centre"]


def test_numbers_are_read_to_the_last_bit(tmp_path: Path):
    (tmp_path / "history.csv").write_text(f"epoch,loss\n1,{0.001 / 3!r}\n")
    assert read_history(tmp_path / "history.csv")["loss"].tolist() == [0.001 / 3]


def test_missing_or_empty_history_is_named(tmp_path: Path):
    with pytest.raises(UserError, match=r"history\.csv: no such file"):
        join_histories(tmp_path)
    (tmp_path / "history.csv").touch()
    with pytest.raises(UserError, match=r"history\.csv: not readable as CSV"):
        join_histories(tmp_path)
