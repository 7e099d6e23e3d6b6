"""torchvision's Mask R-CNN on the CPU, in a process that works on request, so that both sides can take turns.

`python -m tools.bench.torchvision_cpu FOLDER` reads the name of a case per line and answers each with `done`.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from fashionseg.data.rle import format_rle, mask_to_runs
from fashionseg.params import Params, parse_params, to_dict
from tools.bench.inputs import DETECTIONS_PER_PHOTO
from tools.bench.torchvision_batches import to_device, torchvision_batch
from tools.bench.torchvision_peer import TorchvisionStep, torchvision_network

Batch = dict[str, np.ndarray]

_SETTINGS, _DONE = "settings.json", "done"
_CANDIDATES = 3  # detections before NMS, as a multiple of those that are kept


class TorchvisionProcess:
    """The process; as a context manager it ends with the block.

    Args:
        folder: for the inputs.
        params: of the network.
        batches: by the name of the case: a training step on each.
        photo: uint8 [S, S, 3], for `photo_to_masks`.
    """

    def __init__(self, folder: Path, params: Params, batches: dict[str, Batch], photo: np.ndarray) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, batch in batches.items():
            np.savez(folder / f"{name}.npz", **batch)  # type: ignore[arg-type]  # of its keyword `allow_pickle`
        np.save(folder / "photo.npy", photo)
        (folder / _SETTINGS).write_text(json.dumps(to_dict(params)), encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.torchvision_cpu", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, case: str) -> str:
        """Does the work once; returns what else the process says of it.

        Raises:
            RuntimeError: the process ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        print(case, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer.startswith(_DONE):
            raise RuntimeError(f"torchvision's process ended with status {self._process.wait()}")
        return answer.removeprefix(_DONE).strip()

    def __enter__(self) -> TorchvisionProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.__exit__(kind, error, traceback)  # closes its input, on which it ends


def has_torchvision() -> bool:
    """Whether it is installed beside this package."""
    return importlib.util.find_spec("torchvision") is not None


class _Cases:
    """The work by name: `versions`, `masks-N` (photo to N masks), or that of a batch (a training step on it)."""

    def __init__(self, folder: Path) -> None:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
        self._folder = folder
        self._network = torchvision_network(parse_params(settings, folder / _SETTINGS), "cpu")
        self._photo = np.load(folder / "photo.npy")
        self._work: dict[str, Callable[[], object]] = {}

    def run(self, name: str) -> str:
        import torch
        import torchvision

        if name == "versions":
            return f"torchvision {torchvision.__version__}, PyTorch {torch.__version__}"
        if name not in self._work:
            kind, _, number = name.partition("-")
            self._work[name] = self._masks(int(number)) if kind == "masks" else self._step(name)
        self._work[name]()
        return ""

    def _step(self, name: str) -> Callable[[], object]:
        import torch

        with np.load(self._folder / f"{name}.npz") as batch:
            images, targets = to_device(*torchvision_batch(dict(batch)), "cpu")
        weights = [weight for weight in self._network.parameters() if weight.requires_grad]
        optimizer = torch.optim.SGD(weights, lr=1e-9, momentum=0.9, weight_decay=1e-4)
        step = TorchvisionStep(self._network, optimizer, "cpu", clip_norm=5.0)

        def work() -> None:
            self._network.train()
            step(images, targets)

        return work

    def _masks(self, count: int) -> Callable[[], object]:
        """Photo to run-length masks of `count` detections.

        Untrained class scores are nearly equal, so a threshold is chosen that leaves a few times as many candidates
        to NMS as are kept; without one, NMS of all classes of all RoIs would be most of the work.
        """
        import torch

        network = self._network.eval()
        heads = network.roi_heads
        pixels = torch.from_numpy(self._photo).permute(2, 0, 1)
        threshold = 0.0

        def detect() -> list[str]:
            network.eval()
            heads.score_thresh, heads.detections_per_img = threshold, count
            with torch.inference_mode():
                (found,) = network([pixels.float() / 255])
            masks = (found["masks"][:DETECTIONS_PER_PHOTO, 0] > 0.5).numpy()
            return [format_rle(mask_to_runs(mask)) for mask in masks]

        scores: list[Any] = []
        hook = heads.box_predictor.register_forward_hook(lambda *call: scores.append(call[2][0]))
        threshold = 1.0
        detect()
        hook.remove()
        probabilities = torch.softmax(scores[0], dim=1)[:, 1:].flatten()
        threshold = float(torch.topk(probabilities, _CANDIDATES * count).values[-1])
        return detect


def _serve(folder: Path) -> None:
    cases = _Cases(folder)
    for line in sys.stdin:
        said = cases.run(line.strip())
        print(f"{_DONE} {said}", flush=True)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
