"""A network to a LiteRT model, by TensorFlow's own converter: one photo to its detections."""

from __future__ import annotations

import tempfile
from typing import Literal

import keras

from fashionseg.backend import held_back_stderr
from fashionseg.errors import UserError
from fashionseg.model.api import Network
from fashionseg.ops.real_rows import all_rows

Precision = Literal["float32", "float16", "int8"]


def to_litert(network: Network, precision: Precision) -> bytes:
    """The model as a flat buffer of LiteRT's own operations.

    Inputs `images` uint8 [1, S, S, 3] and `windows` float32 [1, 4], as of `Network.call`, and those of a pose where the
    network takes them. Outputs `boxes`, `classes`, `scores` and `masks`.

    Args:
        precision: of the weights. float16 halves the file, int8 makes it a quarter; activations stay float32.

    Raises:
        UserError: Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(f"export: expected KERAS_BACKEND=tensorflow, got {keras.backend.backend()}")
    import tensorflow as tf

    side = network.image_size
    signature = {
        "images": tf.TensorSpec([1, side, side, 3], tf.uint8, name="images"),
        "windows": tf.TensorSpec([1, 4], tf.float32, name="windows"),
    }
    if network.takes_pose:
        signature["landmarks"] = tf.TensorSpec([1, 33, 3], tf.float32, name="landmarks")
        signature["person_masks"] = tf.TensorSpec([1, 64, 64], tf.uint8, name="person_masks")

    def detect(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with all_rows():
            return network(inputs, training=False)

    with tempfile.TemporaryDirectory() as folder, held_back_stderr():
        archive = keras.export.ExportArchive()
        archive.track(network)
        archive.add_endpoint("detect", detect, input_signature=[signature])
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["detect"])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())
