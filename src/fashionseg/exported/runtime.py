"""An exported file as a detector; nothing here needs TensorFlow or Keras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fashionseg.backend import held_back_stderr
from fashionseg.detections.inference import Batch, Detector
from fashionseg.errors import UserError
from fashionseg.exported.file import About, read_about
from fashionseg.parallel import available_cores


@dataclass(frozen=True)
class ExportedNetwork:
    """What a detector asks of its network."""

    image_size: int
    takes_pose: bool


def load_exported(path: Path) -> tuple[Detector, About]:
    """The detector of an exported file, and what the file says of itself.

    Raises:
        UserError: as `read_about`; the model takes poses; or it is no model of LiteRT.
    """
    about = read_about(path)
    if about.takes_pose:
        raise UserError(
            f"{path}: expected a model without body parts, got one that takes landmarks; predict with its model folder"
        )
    run = _LiteRT(path)
    network = ExportedNetwork(about.image_size, about.takes_pose)
    return Detector(network, about.categories, run, 1, about.mask_quality, about.flip), about


class _LiteRT:
    """The forward pass, a photo at a time."""

    def __init__(self, path: Path) -> None:
        try:
            with held_back_stderr():  # it announces its delegate there
                from ai_edge_litert.interpreter import Interpreter

                self._interpreter = Interpreter(str(path), num_threads=available_cores())
                self._interpreter.allocate_tensors()
                self._detect = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise UserError(f"{path}: not a model that LiteRT runs: {str(error).splitlines()[0]}") from None

    def __call__(self, batch: Batch) -> dict[str, np.ndarray]:
        inputs = {name: batch[name] for name in ("images", "windows")}
        outputs = [
            self._detect(**{name: values[place : place + 1] for name, values in inputs.items()})
            for place in range(len(batch["images"]))
        ]
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}
