"""A TensorFlow Lite file as a function of one array, run on one core by LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashionseg.backend import held_back_stderr
from fashionseg.errors import UserError

Outputs = dict[str, NDArray[np.float32]]
TfliteModel = Callable[[NDArray[np.float32]], Outputs]


def load_tflite(path: Path) -> TfliteModel:
    """The network of a file; it takes its input and gives its outputs by name, without the batch axis.

    Not to be shared between threads.

    Raises:
        UserError: LiteRT is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise UserError(
            f"pose.model: expected the package ai-edge-litert, got none ({error}); run `make setup`"
        ) from None
    with held_back_stderr():  # LiteRT says which delegate it has made
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    outputs = {output["name"]: output["index"] for output in interpreter.get_output_details()}

    def run(values: NDArray[np.float32]) -> Outputs:
        interpreter.set_tensor(given["index"], values[None])
        interpreter.invoke()
        return {name: interpreter.get_tensor(index)[0] for name, index in outputs.items()}

    return run
