"""torchvision's side of the street comparison: `python -m tools.bench.street_torchvision FOLDER SECONDS`.

1. Train from the stored state, for at most SECONDS of wall time.
2. When the training time is used up, predict the validation photos.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.console import exit_code
from fashionseg.data.loader import inference_batches
from fashionseg.detections.store import Detections, no_detections, write_detections
from tools.bench.by_the_clock import Progress, train_by_the_clock
from tools.bench.settings import original_params
from tools.bench.street_batches import converted_ahead, street_batches
from tools.bench.street_run import (
    CLIP_NORM,
    DECODED,
    DETECTIONS,
    STATE,
    WARMUP_SHARE,
    WEIGHT_DECAY,
    params_of,
    read_ids,
    read_run,
    write_about,
)
from tools.bench.torchvision_batches import detections_of_photo, to_device, torchvision_batch
from tools.bench.torchvision_peer import TorchvisionStep, choose_device, torchvision_network

_WEIGHTS = "training.pt"


class TorchvisionTraining:
    """Steps of torchvision's network on our batches.

    Args:
        step: the training step.
        batches: endless, from `torchvision_batch`.
    """

    def __init__(self, step: TorchvisionStep, batches: Iterator[Any]) -> None:
        self.step = step
        self._batches = batches

    def lap(self, steps: int, learning_rate: float) -> float:
        import torch

        for group in self.step.optimizer.param_groups:
            group["lr"] = learning_rate
        losses = []
        for images, targets in itertools.islice(self._batches, steps):
            losses.append(self.step(*to_device(images, targets, self.step.device)))
        return float(torch.stack(losses).mean())  # waits for the device

    def save(self, folder: Path) -> None:
        import torch

        state = {"network": self.step.network.state_dict(), "optimizer": self.step.optimizer.state_dict()}
        torch.save(state, folder / _WEIGHTS)

    def load(self, folder: Path) -> None:
        import torch

        state = torch.load(folder / _WEIGHTS, map_location=self.step.device, weights_only=True)
        self.step.network.load_state_dict(state["network"])
        self.step.optimizer.load_state_dict(state["optimizer"])


def adamw(network: Any) -> Any:
    """AdamW like ours: no decay of biases and batch norm weights, which have one axis."""
    import torch

    weights = [weight for weight in network.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-3)


def predict(network: Any, batches: Any, names: Sequence[str], device: str) -> Detections:
    """Detections on batches of `inference_batches`, with torchvision's small masks before pasting."""
    import torch

    network.eval()
    # torchvision's last step would paste every mask into a full-size array.
    network.transform.postprocess = lambda outputs, sizes, originals: outputs
    index: list[int] = []
    columns: list[tuple[np.ndarray, ...]] = []
    for batch in batches:
        images = [
            torch.from_numpy(image).permute(2, 0, 1).to(device).float() / 255 for image in batch["images"]
        ]
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            outputs = network(images)
        for place, window, output in zip(batch["photo_index"], batch["windows"], outputs, strict=True):
            if place < 0:  # padding of the last batch
                continue
            arrays = {
                name: value.float().cpu().numpy() if value.is_floating_point() else value.cpu().numpy()
                for name, value in output.items()
            }
            index += [int(place)] * len(arrays["scores"])
            columns.append(detections_of_photo(arrays, window))
    if not index:
        return no_detections(names)
    return Detections.build(
        names, np.array(index), *(np.concatenate(parts) for parts in zip(*columns, strict=True))
    )


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    deadline = time.monotonic() + seconds
    import torch
    import torchvision

    run, side = read_run(folder), folder / "torchvision"
    params = params_of(run, original_params())
    device = choose_device(run.is_trial)
    torch.manual_seed(run.seed)
    network = torchvision_network(params, device, trains_batch_norm=True)
    step = TorchvisionStep(network, adamw(network), device, CLIP_NORM)
    with street_batches(folder, run, params, Progress.read(side / STATE)) as batches:
        trained = TorchvisionTraining(step, converted_ahead(iter(batches), torchvision_batch))
        done = train_by_the_clock(
            trained, side / STATE, 60 * run.minutes, run.learning_rate, WARMUP_SHARE, deadline
        )
    where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    write_about(
        side, device=where, code=f"torchvision {torchvision.__version__}, PyTorch {torch.__version__}"
    )
    if done.seconds < 60 * run.minutes:
        return
    _, validation = read_ids(folder)
    photos = inference_batches(folder / DECODED, "train", validation, run.side, run.batch_size)
    write_detections(predict(network, photos, validation, device), side / DETECTIONS)


if __name__ == "__main__":
    sys.exit(exit_code(main))
