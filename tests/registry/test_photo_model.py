"""The registered model as MLflow loads it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fashionseg.detections import inference, thresholds
from fashionseg.params import LATER_INFERENCE, Inference, load_params, to_dict


@pytest.mark.filterwarnings("ignore:.*Any type hint:UserWarning")
def test_a_model_registered_before_a_setting_existed_is_served_without_it(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fashionseg.registry.photo_model import PhotoModel

    loaded: list[Inference] = []
    monkeypatch.setattr(inference, "load_detector", lambda folder, settings: loaded.append(settings))
    monkeypatch.setattr(thresholds, "read_thresholds", lambda path: None)
    stored = to_dict(load_params(repo / "params.yaml").inference)
    old = {key: value for key, value in stored.items() if key not in LATER_INFERENCE}
    for config in (old, old | {"flip": True}):
        context: Any = SimpleNamespace(
            model_config={"inference": config, "max_megapixels": 120},
            artifacts={"model": "model", "thresholds": "thresholds.json"},
        )
        PhotoModel().load_context(cast("Any", context))
    assert [(settings.mask_quality, settings.flip) for settings in loaded] == [(0.0, False), (0.0, True)]
