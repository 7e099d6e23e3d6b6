"""Checks inside the image: `fab dgx-doctor` sends this program to `python -` in a container.

Prints one JSON object per line: name, state (ok | bad | skipped), found, advice.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import site
import sys
from collections.abc import Callable
from pathlib import Path

# Compute capability of the V100, and the last cuDNN with code for it.
VOLTA = (7, 0)
LAST_CUDNN_WITH_VOLTA = (9, 10)
TOLERANCE = 1e-3


def main() -> None:
    for name, check in (
        ("python", python),
        ("packages", packages),
        ("GPUs in TensorFlow", gpus),
        ("cuDNN", cudnn),
        ("NCCL", nccl),
        ("gradient on the GPU", gradient),
    ):
        try:
            state, found, advice = check()
        except Exception as error:
            # This program reports any failure of a driver or library.
            state, found, advice = "bad", f"{type(error).__name__}: {error}"[:300], "see `fab dgx-build`"
        print(json.dumps({"name": name, "state": state, "found": found, "advice": advice}), flush=True)


Finding = tuple[str, str, str]


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    is_right = sys.version_info[:2] == (3, 11)
    return ("ok" if is_right else "bad"), version, "base_image must have Python 3.11"


def packages() -> Finding:
    names = ("dvc", "keras", "mlflow", "tensorflow")
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found = _any_version(name)
            if found is None:
                return "bad", f"{name} is missing", "`fab dgx-build` with `build_target: gpu`"
            versions.append(found)
    return "ok", ", ".join(versions), ""


def gpus() -> Finding:
    devices = _devices()
    if not devices:
        return "bad", "none", "check nvidia-container-toolkit on the host and `gpus` in the host file"
    return "ok", ", ".join(f"{name} ({major}.{minor})" for name, (major, minor) in devices), ""


def cudnn() -> Finding:
    library = _library("nvidia/cudnn/lib/libcudnn.so.9", "libcudnn.so.9")
    library.cudnnGetVersion.restype = ctypes.c_size_t
    number = library.cudnnGetVersion()
    version = (number // 10000, number // 100 % 100, number % 100)
    is_volta = any(capability == VOLTA for _, capability in _devices())
    is_right = not is_volta or version[:2] <= LAST_CUDNN_WITH_VOLTA
    advice = "this cuDNN has no code for the V100: keep the pin in requirements/gpu.in"
    return ("ok" if is_right else "bad"), ".".join(map(str, version)), advice


def nccl() -> Finding:
    library = _library("nvidia/nccl/lib/libnccl.so.2", "libnccl.so.2")
    number = ctypes.c_int()
    library.ncclGetVersion(ctypes.byref(number))
    return "ok", f"{number.value // 10000}.{number.value // 100 % 100}.{number.value % 100}", ""


def gradient() -> Finding:
    """Compares the gradient of `crop_and_resize` on the GPU with that on the CPU."""
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return "skipped", "no GPU", "see `GPUs in TensorFlow`"
    features = tf.random.stateless_normal([1, 32, 32, 8], seed=[1, 2])
    boxes = tf.constant([[0.1, 0.1, 0.6, 0.8], [0.3, 0.2, 0.9, 0.7]])

    def gradient_on(device: str) -> tf.Tensor:
        with tf.device(device), tf.GradientTape() as tape:
            tape.watch(features)
            crops = tf.image.crop_and_resize(features, boxes, [0, 0], [7, 7])
            loss = tf.reduce_sum(tf.square(crops))
        return tape.gradient(loss, features)

    error = float(tf.reduce_max(tf.abs(gradient_on("/GPU:0") - gradient_on("/CPU:0"))))
    return (
        ("ok" if error < TOLERANCE else "bad"),
        f"differs from the CPU's by {error:.1e}",
        "check for a newer driver",
    )


def _devices() -> list[tuple[str, tuple[int, int]]]:
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(device)
        found.append((details.get("device_name", "GPU"), details.get("compute_capability", (0, 0))))
    return found


def _any_version(name: str) -> str | None:
    """Version of the package under another distribution name, such as tensorflow-cpu."""
    for distribution in importlib.metadata.packages_distributions().get(name, []):
        return f"{distribution} {importlib.metadata.version(distribution)}"
    return None


def _library(packaged: str, name: str) -> ctypes.CDLL:
    """Loads a library from NVIDIA's wheels in site-packages, or else from the loader's path."""
    paths = [str(path) for folder in site.getsitepackages() for path in Path(folder).glob(packaged)]
    open_library: Callable[[str], ctypes.CDLL] = ctypes.CDLL
    return open_library(paths[0] if paths else name)


if __name__ == "__main__":
    main()
