"""Every kind of output, each written by a function that takes the path to write.

Run as a program it writes each of them with too little room and prints what happened, a JSON a line:

    python writers.py FOLDER MODE...

    disk        FOLDER is a tmpfs of its own in this mount namespace; it is made too small
    read-only   the same, made read-only
    limit       files may not grow beyond a limit (RLIMIT_FSIZE), which needs no rights
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.console import exit_code
from fashionseg.params import load_params

REPO = Path(__file__).parents[2]
LARGE, SHARES = 256 << 20, (0.0, 0.4, 0.9)


def writers(inputs: Path) -> dict[str, Callable[[Path], Any]]:
    """By the name of the output; `inputs` is a folder for what they read."""
    from dataclasses import replace

    import pandas as pd
    from matplotlib.figure import Figure

    from fashionseg.commands.preset import merge
    from fashionseg.detections.instances import Thresholds
    from fashionseg.detections.store import Detections, write_detections
    from fashionseg.detections.thresholds import write_thresholds
    from fashionseg.metrics import tables
    from fashionseg.prepare.decode import decode_folder
    from fashionseg.report import figures
    from fashionseg.sample.layout import write_sample
    from fashionseg.sources.folder import copy_folder
    from fashionseg.sources.pretrained import write_pretrained
    from fashionseg.storage.atomic import atomic_directory, atomic_write
    from fashionseg.submission.write import write_submission
    from fashionseg.tracking.journal import Journal
    from fashionseg.training.loop import write_history

    params = load_params(REPO / "params.yaml")
    (inputs / "raw").mkdir(parents=True)
    write_sample(inputs / "raw", 8, 2, 7, workers=1)
    (inputs / "weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100_000))
    decode = replace(params.decode, workers=1, photos_per_shard=4)
    random = np.random.default_rng(1)
    detections = Detections.build(
        ["a.jpg"],
        np.zeros(200, np.int32),
        np.zeros(200, np.int16),
        np.linspace(1, 0.1, 200, dtype=np.float32),
        np.tile(np.array([0, 0, 1, 1], np.float32), (200, 1)),
        random.integers(0, 256, (200, 28, 28), dtype=np.uint8),
    )
    everything = Thresholds(0.0, 1.0, 0.5, 0)
    table = pd.DataFrame(random.random((500, 4)), columns=list("abcd"))

    def sample(path: Path) -> None:
        with atomic_directory(path) as folder:
            write_sample(folder, 4, 2, 7, workers=1)

    def copied(path: Path) -> None:
        with atomic_directory(path) as folder:
            copy_folder(inputs / "raw", folder)

    def pretrained(path: Path) -> None:
        with atomic_directory(path) as folder:
            write_pretrained(folder, str(inputs / "weights.h5"), "resnet50")

    def plots(path: Path) -> None:
        figure = Figure()
        figure.subplots().plot(random.random(500))
        with atomic_directory(path) as folder:
            tables.write_table(table, folder / "table.csv")
            figures.save_figure(figure, folder / "figure.png")

    def changed_params(path: Path) -> None:
        if not path.exists():
            path.write_bytes((REPO / "params.yaml").read_bytes())
        seed = int(load_params(path).seed)
        merge(path, {"seed": seed + 1})

    def copied_for_mlflow(path: Path) -> None:
        Journal(path).add_file(inputs / "weights.h5", "model/weights.h5")

    def text(path: Path) -> None:
        with atomic_write(path) as temporary:
            temporary.write_bytes(bytes(50_000))

    return {
        "data/raw, drawn": sample,
        "data/raw, copied": copied,
        "models/pretrained": pretrained,
        "data/decoded": lambda path: decode_folder(inputs / "raw", path, decode),
        "data/predictions": lambda path: write_detections(detections, path),
        "reports/plots": plots,
        "reports/thresholds.json": lambda path: write_thresholds(everything, path),
        "reports/submission.csv": lambda path: write_submission(detections, everything, ["a.jpg"], path),
        "models/heads/history.csv": lambda path: write_history(table.to_dict("records"), path),
        "params.yaml": changed_params,
        "files for MLflow": copied_for_mlflow,
        "a text": text,
        **_weights(),
    }


def _weights() -> dict[str, Callable[[Path], Any]]:
    from fashionseg.backend import start_backend

    start_backend()
    import keras

    from fashionseg.model.folder import save_network
    from fashionseg.training.state import TrainingState

    model = load_params(REPO / "params.yaml").model

    def dense() -> Any:
        return keras.Sequential([keras.layers.Input((200,)), keras.layers.Dense(200)])

    network, training = dense(), dense()
    training.network, training.averaged = network, contextlib.nullcontext
    training.compile("adam")
    training.optimizer.build(training.trainable_variables)

    def state(path: Path) -> None:
        TrainingState(path).add_epoch({"epoch": 1, "val_loss": 1.0}, training)

    return {
        "models/finetuned": lambda path: save_network(network, model, ("a",), path),
        "the state of a training": state,
    }


def snapshot(folder: Path) -> dict[str, str]:
    """Every file below `folder` with the hash of its bytes."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@contextlib.contextmanager
def limited(mode: str, disk: Path, room: int) -> Iterator[None]:
    """`room` more bytes fit on the disk, or into a file."""
    if mode == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return
    _remount(disk, "ro" if mode == "read-only" else f"rw,size={max(_used(disk) + room, 4096)}")
    try:
        yield
    finally:
        _remount(disk, f"rw,size={LARGE}")


def _remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def _used(folder: Path) -> int:
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


def main(disk: Path, modes: list[str]) -> None:
    for name, write in writers(disk.parent / "inputs").items():
        place = disk / name.replace("/", "-").replace(" ", "-").replace(",", "")
        place.mkdir()
        write(place / "out")
        for mode in modes:
            for share in (0.0,) if mode == "read-only" else SHARES:
                result = attempt(mode, share, disk, place, write)
                print(json.dumps({"output": name, "mode": mode, "share": share} | result), flush=True)


def attempt(mode: str, share: float, disk: Path, place: Path, write: Callable[[Path], Any]) -> dict[str, Any]:
    """Writes over what is there, with room for `share` of it."""
    files = [path.stat().st_size for path in place.rglob("*") if path.is_file()]
    room = int(share * (max(files) if mode == "limit" else _used(place)))
    before = snapshot(place)
    errors = io.StringIO()
    with limited(mode, disk, room), contextlib.redirect_stderr(errors):
        try:
            status: int | str = exit_code(lambda: write(place / "out"))
        except BaseException as error:
            status = repr(error)
    after = snapshot(place)
    return {"status": status, "said": errors.getvalue(), "same": before == after, "left": sorted(after)}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
