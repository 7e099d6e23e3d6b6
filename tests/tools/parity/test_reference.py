"""Parity with every array of the reference, and the control: an error in one step is detected."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import h5py
import numpy as np
import pytest
from keras import ops
from tools.parity.reference import Arrays, Reference, inference_of, model_of
from tools.parity.run import compare_all

from fashionseg.model import losses, proposals, roi_targets, rpn_targets, select_detections
from fashionseg.model.build import build_mask_rcnn
from fashionseg.model.weights import save_matterport
from fashionseg.ops import boxes, masks, matching, roi_align
from tools.parity import images, layer_cases, loss_cases

FILES = (
    "infer_resnet101_128",
    "infer_resnet50_256",
    "layer_anchors_proposals",
    "layer_detection",
    "layer_roialign",
    "layer_targets",
    "losses",
    "train_resnet50_128",
    "utils",
)

# Redundant arrays: shapes of maps and images.
NOT_COMPARED = {
    "layer_anchors_proposals": {f"anchors_{case}_feature_shapes" for case in "abc"},
    "layer_targets": {"rpntargets_a_image_size", "rpntargets_b_image_size"},
}


class Recorded(dict):
    """Arrays that record which of them were read."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays)
        self.used: set[str] = set()

    def __getitem__(self, key: str) -> np.ndarray:
        self.used.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default=None):
        self.used.add(key)
        return super().get(key, default)

    def items(self):
        return [(key, self[key]) for key in self]


@pytest.mark.parametrize("name", FILES)
def test_outputs_agree_with_matterport(reference_directory, name):
    rows = list(compare_all(Reference(reference_directory), [name]))
    wrong = [f"{row.tensor}: {row.difference:.1e} > {row.tolerance:.1e}" for row in rows if not row.ok]
    assert not wrong
    assert len(rows) >= 6


def test_every_reference_file_is_compared(reference_directory):
    assert tuple(Reference(reference_directory).names()) == FILES


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("layer", "utils"))])
def test_every_array_is_compared(reference_directory, monkeypatch, name):
    reference = Reference(reference_directory)
    recorded = Recorded(reference.arrays(name))
    monkeypatch.setattr(reference, "arrays", lambda _: recorded)
    list(compare_all(reference, [name]))
    unused = {key for key in set(recorded) - recorded.used if not key.endswith(("image_meta", "masks_shape"))}
    assert unused <= NOT_COMPARED.get(name, set())


@pytest.mark.parametrize("backbone", ["resnet50", "resnet101"])
def test_saved_weights_have_matterports_groups_names_and_shapes(reference_directory, tmp_path, backbone):
    layout = json.loads((reference_directory / "matterport_h5_layout.json").read_text())
    described = layout["backbones"][backbone]
    config = Reference(reference_directory).arrays("infer_resnet50_256")["config_json"]
    config = json.loads(str(config)) | {"BACKBONE": backbone, "NUM_CLASSES": layout["num_classes"]}
    network = build_mask_rcnn(model_of(config), layout["num_classes"] - 1, inference_of(config))
    save_matterport(network, tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5") as file:
        names = [name.decode() for name in file.attrs["layer_names"]]
        assert names == described["layer_names_training"]
        weighted = [name for name in names if len(file[name].attrs["weight_names"])]
        assert weighted == [group["group"] for group in described["groups_with_weights"]]
        for group in described["groups_with_weights"]:
            stored = [name.decode() for name in file[group["group"]].attrs["weight_names"]]
            assert stored == [weight["name"] for weight in group["weights"]]
            for weight in group["weights"]:
                assert file[weight["path"]].shape == tuple(weight["shape"])
                assert file[weight["path"]].dtype == weight["dtype"]


def swap_first_two(function: Callable) -> Callable:
    """`function` with y and x swapped in the last axis of its output."""

    def swapped(*arguments):
        y, x, *rest = ops.unstack(function(*arguments), 4, axis=-1)
        return ops.stack([x, y, *rest], axis=-1)

    return swapped


def transposed(function: Callable) -> Callable:
    """`function` reading its boxes as [x1, y1, x2, y2]."""

    def changed(first, *arguments, **options):
        return function(ops.take(first, [1, 0, 3, 2], axis=-1), *arguments, **options)

    return changed


def half_a_pixel(function: Callable) -> Callable:
    """`roi_align._samples` shifted by half a pixel."""

    def shifted(low, high, size, bins):
        shift = 0.5 / ops.cast(size - 1, "float32")
        return function(low + shift, high + shift, size, bins)

    return shifted


def level_too_high(function: Callable) -> Callable:
    return lambda *arguments: ops.minimum(function(*arguments) + 1, 5)


# Errors in one step, and the file whose comparison must detect each.
MUTATIONS = {
    "RoIAlign half a pixel off": (roi_align, "_samples", half_a_pixel, "layer_roialign"),
    "levels one too high": (roi_align, "pyramid_levels", level_too_high, "layer_roialign"),
    "canonical side 256": (roi_align, "CANONICAL_SIDE", lambda _: 256.0, "layer_roialign"),
    "RoIAlign of transposed boxes": (
        layer_cases,
        "multilevel_roi_align",
        lambda f: lambda maps, b, *rest: f(maps, b[..., [1, 0, 3, 2]], *rest),
        "layer_roialign",
    ),
    "encoded deltas swapped": (roi_targets, "encode_deltas", swap_first_two, "layer_targets"),
    "RPN deltas swapped": (rpn_targets, "encode_deltas", swap_first_two, "layer_targets"),
    "proposals of transposed anchors": (proposals, "apply_deltas", transposed, "layer_anchors_proposals"),
    "detections of transposed boxes": (select_detections, "apply_deltas", transposed, "layer_detection"),
    "positive RoIs from 0.8": (
        layer_cases,
        "RoiSampler",
        lambda cls: partial(cls, positive_iou=0.8),
        "layer_targets",
    ),
    "negative anchors below 0.4": (rpn_targets, "NEGATIVE_IOU", lambda _: 0.4, "layer_targets"),
    "crowds from a tenth": (matching, "CROWD_IOU", lambda _: 0.1, "layer_targets"),
    "mask targets half a pixel off": (
        masks,
        "_interpolation_matrix",
        lambda f: lambda low, high, length, *rest: f(low + 0.5 / length, high + 0.5 / length, length, *rest),
        "layer_targets",
    ),
    "anchor strides": (
        layer_cases,
        "pyramid_anchors",
        lambda f: lambda *arguments: f(*arguments, strides=(4, 8, 16, 32, 32)),
        "layer_anchors_proposals",
    ),
    "anchors normalised without the last pixel": (
        layer_cases,
        "normalise_anchors",
        lambda f: lambda a, shape: f(a, (shape[0] + 1, shape[1] + 1)),
        "layer_anchors_proposals",
    ),
    "windows of transposed boxes": (layer_cases, "normalise", transposed, "layer_detection"),
    "standard deviations": (layer_cases, "STD_DEV", lambda _: (0.1, 0.1, 0.1, 0.1), "layer_detection"),
    "smooth L1 with its corner elsewhere": (
        losses,
        "smooth_l1",
        lambda _: lambda a, b: ops.abs(a - b),
        "losses",
    ),
    "padding not counted": (
        loss_cases,
        "counted_rows",
        lambda _: lambda logits, active: ops.ones(logits.shape[:2]),
        "losses",
    ),
    "masks clipped elsewhere": (losses, "CLIP", lambda _: 1e-3, "losses"),
    "boxes normalised by the sides": (
        boxes,
        "normalise",
        lambda _: lambda b, height, width: b / np.array([height, width, height, width], np.float32),
        "utils",
    ),
    "deltas swapped": (boxes, "apply_deltas", swap_first_two, "utils"),
    "mask edge": (images, "INTERPOLATION_EDGE", lambda _: 0.6, "utils"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_error_in_one_step_is_detected(reference_directory, monkeypatch, mutation):
    module, name, change, file = MUTATIONS[mutation]
    monkeypatch.setattr(module, name, change(getattr(module, name)))
    rows = compare_all(Reference(reference_directory), [file])
    assert any(not row.ok for row in rows)
