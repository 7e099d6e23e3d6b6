"""Worker processes that are killed, or run out of memory: one line, and no photo is dropped as damaged."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
from PIL import Image
from tools.soak.inputs import soak_params

from fashionseg.data.loader import TrainingBatches
from fashionseg.data.tables import read_photos
from fashionseg.errors import UserError
from fashionseg.parallel import lacks_memory, ordered_map
from fashionseg.params import Params, changed, load_params
from fashionseg.prepare.decode import decode_folder
from fashionseg.sample.layout import write_sample

PIXELS = (3000, 3000, 3)


def batches(folder: Path, params: Params) -> TrainingBatches:
    """Endless batches, from one worker process."""
    (folder / "raw").mkdir()
    write_sample(folder / "raw", 8, 1, 7, workers=1)
    decode_folder(folder / "raw", folder / "decoded", params.decode)
    ids = read_photos(folder / "decoded", "train")["image_id"].tolist()
    return TrainingBatches(
        folder / "decoded",
        ids,
        params.model.image_size,
        params.sampling,
        params.augment,
        params.loader,
        batch_size=4,
        seed=1,
    )


def loader_workers() -> list[psutil.Process]:
    """Child processes, without Python's tracker of shared memory."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]


@pytest.mark.fault(
    table="processes",
    case="a loader worker killed in training",
    outcome="one line; completed epochs are kept",
)
def test_a_killed_loader_worker_ends_training_in_one_line_and_keeps_completed_epochs(
    tmp_path: Path, repo: Path
) -> None:
    """Through Keras's `fit`, where TensorFlow would print pages."""
    from fashionseg.training.loop import train
    from fashionseg.training.stage import Stage
    from fashionseg.training.state import TrainingState
    from toy_network import make_toy, toy_batch

    params = changed(soak_params(load_params(repo / "params.yaml")), {"train.loss_weights": {}})
    killed: list[int] = []

    def kill_worker(row: dict[str, Any]) -> None:
        if not killed:  # batches that were ready by then may make another epoch
            (worker,) = loader_workers()
            worker.kill()
        killed.append(row["epoch"])

    expected = r"^a loader worker was killed; if memory ran out, set loader\.workers or loader\.prefetch_batches lower"
    with pytest.raises(UserError, match=expected):
        train(
            make_toy(num_categories=46),
            Stage("finetune", "all", epochs=1000, learning_rate=1e-4),
            params.train,
            lambda epoch: batches(tmp_path, params),
            [toy_batch(4, seed=0)],
            TrainingState(tmp_path / "state"),
            kill_worker,
        )
    assert TrainingState(tmp_path / "state").epochs_done == len(killed) >= 1


def large_photo(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros(PIXELS, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.fault(
    table="processes",
    case="a worker out of memory",
    outcome="one line, the stage ends; no photo is mistaken for a damaged one",
)
def test_a_worker_without_memory_stops_the_stage_and_drops_no_photo(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    decode = importlib.import_module("little_memory").decode_with_little_memory
    results = ordered_map(decode, [large_photo(kind)] * 2, 2, "set decode.workers lower")
    with pytest.raises(UserError, match=r"^out of memory; set decode\.workers lower$"):
        list(results)


def test_lack_of_memory_is_recognised_from_python_and_opencv() -> None:
    assert lacks_memory(MemoryError())
    with pytest.raises(cv2.error) as raised:
        cv2.resize(np.zeros((1, 1), np.uint8), (2**30, 2**30))
    assert lacks_memory(raised.value) or "Assertion failed" in str(raised.value)
    assert lacks_memory(cv2.error("(-4:Insufficient memory) Failed to allocate 1 bytes"))
    assert not lacks_memory(cv2.error("(-215:Assertion failed)"))
    assert not lacks_memory(RuntimeError("Insufficient memory"))
