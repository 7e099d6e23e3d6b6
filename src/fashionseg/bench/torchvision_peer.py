"""torchvision's Mask R-CNN with the same backbone depth, input, proposals, RoIs, optimizer and precision."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from fashionseg.bench.inputs import NUM_CATEGORIES
from fashionseg.params import Model

Batch = dict[str, np.ndarray]


class TorchvisionStep:
    """Its training step: forward, losses, backward, clipped SGD.

    Args:
        model: the `model` section, for the numbers of proposals and RoIs.
        backbone: `resnet50` or `resnet101`.
        side: of the square input in pixels.
    """

    def __init__(self, model: Model, backbone: str, side: int) -> None:
        import torch
        from torchvision.models.detection import MaskRCNN
        from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

        self.torch = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        body = resnet_fpn_backbone(backbone_name=backbone, weights=None, trainable_layers=5)
        network = MaskRCNN(
            body,
            num_classes=NUM_CATEGORIES + 1,
            min_size=side,
            max_size=side,
            # torchvision takes the best of each level, ours the best of all, so the same total is at most this.
            rpn_pre_nms_top_n_train=model.pre_nms_limit // 5,
            rpn_post_nms_top_n_train=model.post_nms_rois_training,
            rpn_batch_size_per_image=model.rpn_train_anchors_per_image,
            box_batch_size_per_image=model.train_rois_per_image,
            box_positive_fraction=model.roi_positive_ratio,
        )
        self.network = network.to(self.device, memory_format=torch.channels_last).train()
        self.weights = [weight for weight in network.parameters() if weight.requires_grad]
        self.optimizer = torch.optim.SGD(self.weights, lr=1e-9, momentum=0.9, weight_decay=1e-4)

    def rate(self, batch: Batch, steps: int) -> float:
        """Photos a second over `steps` steps on one batch of our loader, on the GPU before the clock starts."""
        images, targets = self._convert(batch)
        self._step(images, targets)
        self._wait()
        start = time.perf_counter()
        for _ in range(steps):
            self._step(images, targets)
        self._wait()
        return steps * len(images) / (time.perf_counter() - start)

    def _step(self, images: list[Any], targets: list[dict[str, Any]]) -> None:
        torch = self.torch
        with torch.autocast(self.device, dtype=torch.bfloat16):
            losses = sum(self.network(images, targets).values())
        self.optimizer.zero_grad(set_to_none=True)
        losses.backward()
        torch.nn.utils.clip_grad_norm_(self.weights, 5.0)
        self.optimizer.step()

    def _wait(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def _convert(self, batch: Batch) -> tuple[list[Any], list[dict[str, Any]]]:
        """Images [3, S, S] in 0..1; boxes [x1, y1, x2, y2]; masks at full size, which torchvision wants."""
        torch = self.torch
        images, targets = [], []
        side = batch["images"].shape[1]
        for image, classes, boxes, minis in zip(
            batch["images"], batch["gt_classes"], batch["gt_boxes"], batch["gt_masks"], strict=True
        ):
            rows = np.flatnonzero(classes)
            pasted = np.stack([_paste(minis[row], boxes[row], side) for row in rows])
            images.append(torch.from_numpy(image).permute(2, 0, 1).to(self.device).float() / 255)
            targets.append(
                {
                    "boxes": torch.from_numpy(boxes[rows][:, [1, 0, 3, 2]]).to(self.device),
                    "labels": torch.from_numpy(classes[rows].astype(np.int64)).to(self.device),
                    "masks": torch.from_numpy(pasted).to(self.device),
                }
            )
        return images, targets


def _paste(mini: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
    """uint8 [S, S] from a mini-mask that spans its box."""
    y1, x1, y2, x2 = box.astype(int)
    mask = np.zeros((side, side), np.uint8)
    mask[y1:y2, x1:x2] = cv2.resize(mini, (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST)
    return mask
