"""`fashionseg fit-anchors`: `model.anchors` fitted to the boxes of the training photos, and the present ones compared.

1. Read the training boxes of the decoded data at the size of the network's input.
2. Search the sizes and aspect ratios with the highest mean best IoU.
3. Print how well both cover the boxes, and the experiment to try.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from fashionseg.console import say
from fashionseg.params import PARAMS_FILE, load_params
from fashionseg.project import find_root

DECODED = Path("data/decoded")  # both in the project's folder
SPLITS = Path("data/splits")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decoded", type=Path, metavar="DIR", help=f"output of the stage decode [{DECODED}]")
    parser.add_argument("--splits", type=Path, metavar="DIR", help=f"output of the stage split [{SPLITS}]")
    parser.add_argument("--params", type=Path, metavar="FILE", help=f"[{PARAMS_FILE}]")


def run(arguments: argparse.Namespace) -> None:
    from fashionseg.tune.anchors import AnchorShapes, fit_anchors, measure_anchors, training_boxes

    root = find_root()
    model = load_params(arguments.params or root / PARAMS_FILE).model
    boxes = training_boxes(
        arguments.decoded or root / DECODED, arguments.splits or root / SPLITS, model.image_size
    )
    present = AnchorShapes(model.anchors.sizes, model.anchors.aspect_ratios)
    fitted = fit_anchors(boxes, present)
    say(
        f"{len(boxes)} training boxes at {model.image_size} pixels, best IoU with an anchor centred on the box:"
    )
    say(f"  {'':<8} mean   IoU >= 0.5  IoU >= 0.7")
    for name, anchors in (("present", present), ("fitted", fitted)):
        fit = measure_anchors(boxes, anchors)
        low, high = fit.recalls
        say(
            f"  {name:<8} {fit.mean_iou:.3f}  {low:.3f}       {high:.3f}       "
            f"sizes {_list(anchors.sizes)}, aspect ratios {_list(anchors.aspect_ratios)}"
        )
    if fitted == present:
        say("no better anchors found")
        return
    say(
        f'dvc exp run -S "model.anchors.sizes={_list(fitted.sizes)}" '
        f'-S "model.anchors.aspect_ratios={_list(fitted.aspect_ratios)}"'
    )


def _list(values: Sequence[float]) -> str:
    return f"[{','.join(f'{value:g}' for value in values)}]"
