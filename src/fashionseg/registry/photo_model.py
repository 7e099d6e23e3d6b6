"""The MLflow model as code: MLflow stores this file next to the weights and runs it to load the model.

Input: a column `photo` with the bytes of JPEG, PNG, WebP, ... files. Output: one JSON text per photo,
`{"height", "width", "instances": [{"category_id", "category", "score", "box", "area", "rle"}]}`, with sizes and
masks in the frame of the original photo; boxes [y1, x1, y2, x2] in pixels, half-open; RLE as Kaggle's.
`repaired` lists how the photo was changed, if it was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class PhotoModel(PythonModel):
    """Photo bytes to instances, with the thresholds calibrated for this model."""

    def load_context(self, context: PythonModelContext) -> None:
        from fashionseg.detections.inference import load_detector
        from fashionseg.detections.thresholds import read_thresholds
        from fashionseg.params import LATER_INFERENCE, Inference, parse_section

        settings = LATER_INFERENCE | context.model_config["inference"]
        inference = parse_section(Inference, settings, Path("model_config"))
        self.detector = load_detector(Path(context.artifacts["model"]), inference)
        self.thresholds = read_thresholds(Path(context.artifacts["thresholds"]))
        self.max_megapixels = float(context.model_config["max_megapixels"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        from fashionseg.data.jpeg import PhotoError

        try:
            texts = [json.dumps(self.detect(bytes(data))) for data in model_input["photo"]]
        except PhotoError as error:
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        return pd.DataFrame({"objects": texts})

    def detect(self, data: bytes) -> dict[str, Any]:
        """Instances in one photo.

        Raises:
            PhotoError: not a photo, damaged, or too many pixels.
        """
        from fashionseg.detections.photo_bytes import detect_in_bytes

        return detect_in_bytes(self.detector, self.thresholds, data, self.max_megapixels)


set_model(PhotoModel())
