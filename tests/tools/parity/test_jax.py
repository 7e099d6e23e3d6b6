"""Parity with Matterport on the JAX backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import pytest

# Without the training batch and the second network: minutes of compilation for the same layers.
FILES = (
    "infer_resnet101_128",
    "layer_anchors_proposals",
    "layer_detection",
    "layer_roialign",
    "layer_targets",
    "losses",
)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_outputs_on_jax_agree_with_matterport(reference_directory):
    command = [sys.executable, "-m", "tools", "parity", "--reference", str(reference_directory)]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([*command, "--only", *FILES], env=environment, capture_output=True, text=True)
    wrong = [line for line in done.stdout.splitlines() if line.endswith("DIFFERS")]
    assert not wrong
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("tensors agree")
    assert "tensorflow" not in done.stderr.lower()
