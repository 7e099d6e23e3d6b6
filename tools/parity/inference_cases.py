"""`infer_*`: one image through the network, each stage fed with the stored output of the one before it."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
from keras import ops

from fashionseg.model.mask_rcnn import MaskRCNN, pool_size_of
from fashionseg.ops.boxes import Tensor, normalise
from fashionseg.ops.roi_align import multilevel_roi_align
from tools.parity import images
from tools.parity.backend import compiled, rounded_as_matterports
from tools.parity.layer_cases import detection_array, detection_rows
from tools.parity.reference import Arrays, Reference, config_of, unpack
from tools.parity.table import Row, as_array, close, same

# Ten times the noise that the reference's README measured (section "Tolerances").
MAP_TOLERANCE = 1e-4  # of the map's standard deviation
RPN_TOLERANCE = 1e-4
PROPOSAL_TOLERANCE = 1e-5
CLASS_LOGITS_TOLERANCE = 7e-4
CLASS_SCORES_TOLERANCE = 1.5e-4
DELTAS_TOLERANCE = 3e-4
MASK_TOLERANCE = 1e-4
DETECTION_TOLERANCE = 6e-5
HALF_FLOAT_ROUNDING = 2.5e-4  # some masks are stored as float16


def compare(reference: Reference, name: str) -> Iterator[Row]:
    """All rows of the file."""
    arrays = reference.arrays(name)
    config = config_of(arrays)
    yield from _molded(arrays, config)
    network = reference.network(config)
    yield same("anchors_px", network.anchors, arrays["anchors_px"])
    yield close("anchors", network.anchors_norm, arrays["anchors"], PROPOSAL_TOLERANCE)

    maps = _feature_maps(network, arrays["molded_image_uint8"][None])
    for key, feature in maps.items():
        yield from _map_rows(arrays, key, feature)
    pyramid = [maps[key] for key in ("P2", "P3", "P4", "P5", "P6")]
    yield from _rpn(arrays, network, pyramid)
    yield from _heads(arrays, network, pyramid)
    yield from _detections(arrays, network, pyramid)
    yield from _unmolded(arrays, "final", arrays["detections"], arrays["mrcnn_mask_of_class"])
    yield from _end_to_end(arrays, network)


def _molded(arrays: Arrays, config: dict) -> Iterator[Row]:
    resized = images.resize_image(
        arrays["image"],
        config["IMAGE_MIN_DIM"],
        config["IMAGE_MAX_DIM"],
        config["IMAGE_MIN_SCALE"],
        config["IMAGE_RESIZE_MODE"],
    )
    none_active = np.zeros(config["NUM_CLASSES"])
    meta = images.image_meta(
        0, arrays["image"].shape, resized.image.shape, resized.window, resized.scale, none_active
    )
    yield same("molded_image_uint8", resized.image, arrays["molded_image_uint8"])
    yield same("window", np.array(resized.window), arrays["window"])
    yield same("image_meta", meta, arrays["image_meta"])


def _feature_maps(network: MaskRCNN, batch: np.ndarray) -> dict[str, Tensor]:
    """`stem`, C2 to C5, P2 to P6."""
    backbone = network.backbone
    stem = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.MaxPooling2D))
    centred = ops.cast(batch, "float32") - network.pixel_mean
    with_stem = keras.Model(backbone.inputs, [stem.output, *backbone.outputs])
    outputs = with_stem(centred, training=False)
    pyramid = network.fpn(outputs[1:], training=False)
    return dict(
        zip(("stem", "C2", "C3", "C4", "C5", "P2", "P3", "P4", "P5", "P6"), [*outputs, *pyramid], strict=True)
    )


def _map_rows(arrays: Arrays, key: str, feature: Tensor) -> Iterator[Row]:
    values = as_array(feature)[0]
    mean, std = arrays[f"{key}_mean_c"], arrays[f"{key}_std_c"]
    deviation = float(np.sqrt(np.mean(np.square(std)) + np.var(mean)))  # of the whole map
    tolerance = MAP_TOLERANCE * deviation
    rows, columns, channels = (slice(None, None, step) for step in arrays[f"{key}_step"].tolist())
    yield same(f"{key}_shape", np.array(values.shape), arrays[f"{key}_shape"])
    yield close(f"{key}_slice", values[rows, columns, channels], arrays[f"{key}_slice"], tolerance)
    yield close(f"{key}_mean_c", values.mean(axis=(0, 1)), mean, tolerance)
    yield close(f"{key}_std_c", values.std(axis=(0, 1)), std, tolerance)


def _rpn(arrays: Arrays, network: MaskRCNN, pyramid: list[Tensor]) -> Iterator[Row]:
    logits, deltas = network.rpn(pyramid)
    yield close("rpn_class_logits", logits[0], arrays["rpn_class_logits"], RPN_TOLERANCE)
    yield close("rpn_class", ops.softmax(logits)[0], arrays["rpn_class"], RPN_TOLERANCE)
    yield close("rpn_bbox", deltas[0], arrays["rpn_bbox"], RPN_TOLERANCE)
    expected = arrays["rpn_rois"]
    proposals = compiled(network.proposals.__call__, count=len(expected))(
        arrays["rpn_class"][None, :, 1], arrays["rpn_bbox"][None], arrays["anchors"]
    )
    stable = _without(len(expected), arrays["unstable_roi_rows"])
    yield close("rpn_rois", as_array(proposals)[0, stable], expected[stable], PROPOSAL_TOLERANCE)


def _heads(arrays: Arrays, network: MaskRCNN, pyramid: list[Tensor]) -> Iterator[Row]:
    rois = arrays["rpn_rois"][None]
    side = network.image_size
    pooled = as_array(multilevel_roi_align(pyramid[:4], rois, (side, side), pool_size_of(network.box_head)))[
        0
    ]
    yield _strided(arrays, "roi_align_classifier", pooled)

    is_real = np.ones((len(pooled), 1, 1), bool)
    squeeze = network.box_head.get_layer("pool_squeeze").output
    with_squeeze = keras.Model(network.box_head.inputs, [squeeze, *network.box_head.outputs])
    features, logits, deltas = (as_array(x) for x in with_squeeze([pooled, is_real], training=False))
    yield _strided(arrays, "pool_squeeze", features)
    stable = _without(len(logits), arrays["unstable_head_rows"])
    head_outputs = {
        "mrcnn_class_logits": (logits, CLASS_LOGITS_TOLERANCE),
        "mrcnn_class": (as_array(ops.softmax(logits)), CLASS_SCORES_TOLERANCE),
        "mrcnn_bbox": (deltas, DELTAS_TOLERANCE),
    }
    for key, (ours, tolerance) in head_outputs.items():
        yield close(key, ours[stable], arrays[key][stable], tolerance)


def _detections(arrays: Arrays, network: MaskRCNN, pyramid: list[Tensor]) -> Iterator[Row]:
    expected, side = arrays["detections"], network.image_size
    window_norm = normalise(arrays["window"][None].astype(np.float32), side, side)
    inputs = (arrays[key][None] for key in ("rpn_rois", "mrcnn_class", "mrcnn_bbox"))
    ours = detection_array(*compiled(network.select_detections.__call__)(*inputs, window_norm))[0]
    yield from detection_rows("detections", ours, expected, DETECTION_TOLERANCE)
    yield same("n_detections", np.array((ours[:, 4] > 0).sum()), arrays["n_detections"])

    boxes = expected[None, :, :4]
    pooled = multilevel_roi_align(pyramid[:4], boxes, (side, side), pool_size_of(network.mask_head))
    yield _strided(arrays, "roi_align_mask", as_array(pooled)[0])
    masks = as_array(ops.sigmoid(network.segment(pyramid, boxes)))[0]
    num = int(arrays["n_detections"])
    of_class = masks[np.arange(num), :, :, expected[:num, 4].astype(int)]
    yield close("mrcnn_mask_of_class", of_class, arrays["mrcnn_mask_of_class"], MASK_TOLERANCE)
    yield close("mrcnn_mask_mean", masks.mean(axis=(1, 2)), arrays["mrcnn_mask_mean"], MASK_TOLERANCE)
    step = int(arrays["mrcnn_mask_step"][0])
    tolerance = MASK_TOLERANCE + HALF_FLOAT_ROUNDING
    yield close("mrcnn_mask_slice", masks[::step], arrays["mrcnn_mask_slice"], tolerance)


def _unmolded(arrays: Arrays, name: str, detections: np.ndarray, masks: np.ndarray) -> Iterator[Row]:
    """The instances in the original image; `name` tells whose detections they come from."""
    boxes, classes, scores, instance_masks = images.unmold(
        detections,
        masks,
        arrays["image"].shape[:2],
        arrays["molded_image_uint8"].shape[:2],
        tuple(arrays["window"].tolist()),
    )
    yield same(f"{name}_rois", boxes, arrays["final_rois"])
    yield same(f"{name}_class_ids", classes, arrays["final_class_ids"])
    yield close(f"{name}_scores", scores, arrays["final_scores"], DETECTION_TOLERANCE)
    yield same(f"{name}_masks", instance_masks, unpack(arrays, "final_masks"))


def _end_to_end(arrays: Arrays, network: MaskRCNN) -> Iterator[Row]:
    """The same from the image alone."""
    inputs = {
        "images": arrays["molded_image_uint8"][None],
        "windows": arrays["window"][None].astype(np.float32),
    }
    # Op by op where that is fast (TensorFlow), compiled where it is not (JAX).
    run = network.predict_on_batch if keras.backend.backend() == "jax" else network
    with rounded_as_matterports(network):
        output = {key: as_array(value)[0] for key, value in run(inputs).items()}
    side = network.image_size
    boxes_norm = as_array(normalise(output["boxes"], side, side))
    found = detection_array(boxes_norm, output["classes"], output["scores"])
    found[output["classes"] == 0] = 0.0
    order = _order_like(arrays["detections"], found)
    detections, masks = found[order], output["masks"][order]
    # A row of proposals or of the head that rounding can flip ("unstable" in the reference's own runs) leads to at most
    # one other detection of the class; which rows flip depends on the CPU. The others must agree.
    expected, stored_masks = arrays["detections"], arrays["mrcnn_mask_of_class"]
    differs = np.any(np.abs(detections - expected) > DETECTION_TOLERANCE, axis=1)[: len(stored_masks)]
    flipped = np.flatnonzero(differs & (detections[: len(differs), 4] == expected[: len(differs), 4]))
    num_unstable = len(arrays["unstable_roi_rows"]) + len(arrays["unstable_head_rows"])
    yield close("end to end: flipped detections", np.array(len(flipped)), np.array(0), float(num_unstable))
    detections[flipped], masks[flipped] = expected[flipped], stored_masks[flipped]
    yield from detection_rows("end to end: detections", detections, expected, DETECTION_TOLERANCE)
    yield from _unmolded(arrays, "end to end: final", detections, masks)


def _order_like(expected: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """int [D]: our detections in the order of the stored ones, of which scores closer than rounding swap."""
    left = list(range(len(ours)))
    order = []
    for row in expected:
        tied = [i for i in left if abs(ours[i, 5] - row[5]) <= DETECTION_TOLERANCE] or left
        order.append(min(tied, key=lambda i: float(np.abs(ours[i, :5] - row[:5]).sum())))
        left.remove(order[-1])
    return np.array(order)


def _strided(arrays: Arrays, key: str, values: np.ndarray) -> Row:
    """A stored slice of [rows, ..., channels]; rows that rounding can flip left out."""
    expected = arrays[f"{key}_slice"]
    steps = arrays[f"{key}_step"].tolist()
    ours = values[tuple(slice(None, None, step) for step in steps)]
    unstable = arrays["unstable_head_rows"] if key != "roi_align_mask" else np.zeros(0, int)
    kept = np.flatnonzero(~np.isin(np.arange(len(expected)) * steps[0], unstable))
    return close(f"{key}_slice", ours[kept], expected[kept], MAP_TOLERANCE * float(expected.std()))


def _without(num_rows: int, unstable: np.ndarray) -> np.ndarray:
    return np.setdiff1d(np.arange(num_rows), unstable)
