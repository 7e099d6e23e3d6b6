"""torchvision's Mask R-CNN with the same backbone depth, input, proposals, RoIs, optimizer and precision.

It runs in a separate process (`python -m tools.bench.torchvision_peer FOLDER`): two frameworks on one card would share
its memory, and a failure of one must not affect the other.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.params import Params, parse_params, to_dict
from tools.bench.inputs import NUM_CATEGORIES
from tools.bench.torchvision_batches import to_device, torchvision_batch

Batch = dict[str, np.ndarray]

_BATCH, _SETTINGS, _RATES = "batch.npz", "settings.json", "rates.json"
# The shallow networks are for trials; torchvision has no bottleneck ResNets of that depth.
BACKBONES = {"resnet14": "resnet18", "resnet26": "resnet34", "resnet50": "resnet50", "resnet101": "resnet101"}


def measure_torchvision(
    work: Path, params: Params, batch: Batch, steps: int, rounds: int, may_be_cpu: bool
) -> tuple[list[float], str]:
    """Photos per second of each round, and a note; without torchvision or a GPU no rates and the reason."""
    if importlib.util.find_spec("torchvision") is None:
        return [], "torchvision is not installed: not measured"
    folder = work / "torchvision"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / _BATCH, **batch)  # type: ignore[arg-type]  # of its keyword `allow_pickle`
    settings = {
        "params": to_dict(params),
        "steps": steps,
        "rounds": rounds,
        "may_be_cpu": may_be_cpu,
    }
    (folder / _SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench.torchvision_peer", str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        return [], f"torchvision exited with status {done.returncode}: {last[0][:200]}"
    found = json.loads((folder / _RATES).read_text(encoding="utf-8"))
    return found["rates"], found["note"]


def torchvision_network(params: Params, device: str, trains_batch_norm: bool = False) -> Any:
    """torchvision's `MaskRCNN` from scratch with the numbers of the params, in training mode.

    Args:
        params: sections `model`, `sampling` and `inference`.
        device: `cuda` or `cpu`.
        trains_batch_norm: batch statistics; False is torchvision's default, frozen statistics and weights.
    """
    import torch
    from torchvision.models.detection import MaskRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
    from torchvision.ops.misc import FrozenBatchNorm2d

    model, sampling, inference = params.model, params.sampling, params.inference
    backbone = resnet_fpn_backbone(
        backbone_name=BACKBONES[model.backbone.name],
        weights=None,
        norm_layer=torch.nn.BatchNorm2d if trains_batch_norm else FrozenBatchNorm2d,
        trainable_layers=5,
    )
    side = model.image_size
    network = MaskRCNN(
        backbone,
        num_classes=NUM_CATEGORIES + 1,
        min_size=side,
        max_size=side,
        rpn_anchor_generator=AnchorGenerator(
            tuple((size,) for size in model.anchors.sizes), (model.anchors.aspect_ratios,) * 5
        ),
        # torchvision keeps the best of each level, ours the best of all levels, so this is an upper bound.
        rpn_pre_nms_top_n_train=model.rpn.pre_nms_top_k // 5,
        rpn_pre_nms_top_n_test=model.rpn.pre_nms_top_k // 5,
        rpn_post_nms_top_n_train=sampling.post_nms_top_k,
        rpn_post_nms_top_n_test=inference.post_nms_top_k,
        rpn_batch_size_per_image=sampling.anchors_per_image,
        box_batch_size_per_image=sampling.rois_per_image,
        box_positive_fraction=sampling.positive_fraction,
        box_score_thresh=inference.score_threshold,
        box_nms_thresh=inference.nms_threshold,
        box_detections_per_img=inference.max_detections,
    )
    return network.to(device, memory_format=torch.channels_last).train()


class TorchvisionStep:
    """torchvision's training step: forward, losses, backward, clipped gradient, update.

    Args:
        network: see `torchvision_network`.
        optimizer: of its weights.
        device: `cuda` or `cpu`.
        clip_norm: of the whole gradient.
    """

    def __init__(self, network: Any, optimizer: Any, device: str, clip_norm: float) -> None:
        self.network, self.optimizer = network, optimizer
        self.device, self.clip_norm = device, clip_norm
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]

    def __call__(self, images: list[Any], targets: list[dict[str, Any]]) -> Any:
        """The summed loss, a tensor on the device."""
        import torch

        # Not on a CPU, where PyTorch's bfloat16 is many times slower: a trial only has to finish.
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.device == "cuda"):
            loss = sum(self.network(images, targets).values())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, self.clip_norm)
        self.optimizer.step()
        return loss.detach()

    def wait(self) -> None:
        """Waits until the device has finished its work."""
        if self.device == "cuda":
            import torch

            torch.cuda.synchronize()


def choose_device(may_be_cpu: bool) -> str:
    """`cuda`, or `cpu` in a trial.

    Raises:
        RuntimeError: PyTorch finds no GPU and this is not a trial.
    """
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if may_be_cpu:
        return "cpu"
    raise RuntimeError("PyTorch finds no GPU")


def _measure(folder: Path) -> None:
    import torch
    import torchvision

    settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    params = parse_params(settings["params"], folder / _SETTINGS)
    device = choose_device(settings["may_be_cpu"])
    network = torchvision_network(params, device)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    # A learning rate that never diverges: only the time of the update counts.
    optimizer = torch.optim.SGD(weights, lr=1e-9, momentum=0.9, weight_decay=1e-4)
    step = TorchvisionStep(network, optimizer, device, clip_norm=5.0)
    with np.load(folder / _BATCH) as batch:
        images, targets = to_device(*torchvision_batch(dict(batch)), device)
    rates = []
    for turn in range(settings["rounds"] + 1):
        step.wait()
        start = time.perf_counter()
        for _ in range(settings["steps"] if turn else 3):
            step(images, targets)
        step.wait()
        if turn:  # the first round selects kernels
            rates.append(settings["steps"] * len(images) / (time.perf_counter() - start))
    note = f"torchvision {torchvision.__version__}, PyTorch {torch.__version__}, {device}"
    (folder / _RATES).write_text(json.dumps({"rates": rates, "note": note}), encoding="utf-8")


if __name__ == "__main__":
    _measure(Path(sys.argv[1]))
