"""Pretrained weights: ImageNet's for a backbone, Matterport's COCO weights from the public release, or any weight file.

The download is our own because no locked package resumes one: requests and urllib3 retry a request, not its body, and
fsspec starts again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from fashionseg.console import progress_bar
from fashionseg.errors import UserError
from fashionseg.project import state_folder
from fashionseg.sources.imagenet import (
    CHECKPOINTS,
    efficientnet_checkpoint,
    efficientnet_weights,
    resnet_weights,
)
from fashionseg.storage.backbone_weights import LayerWeights, write_backbone_weights
from fashionseg.storage.disk import full_disk_names, require_space

# The release of 2018-03-19, the ResNet-101 trained on COCO. Address and size never changed; no hash is stated.
COCO_WEIGHTS_URL = "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"
COCO_WEIGHTS_BYTES = 257_557_808

# ResNet-50 without its classifier, in Matterport's layer names; size and MD5 as Keras's own loader states them.
RESNET50_URL = (
    "https://github.com/fchollet/deep-learning-models/releases/download/v0.2/"
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
RESNET50_BYTES = 94_653_016
RESNET50_MD5 = "a268eb855778b3df3c7506639542a6af"

WEIGHTS, SOURCE = "weights.h5", "source.json"
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 60
ATTEMPTS = 5


def write_pretrained(folder: Path, pretrained: str, backbone: str) -> str:
    """Fills the empty `folder` for `model.pretrained`: `source.json`, and `weights.h5` unless it is `none`.

    Args:
        backbone: `model.backbone.name`.

    Returns:
        `none`, `imagenet`, `coco` or `file`.

    Raises:
        UserError: there are no such weights for this backbone, the file is missing or not HDF5, or the download failed.
    """
    source = pretrained if pretrained in ("none", "imagenet", "coco") else "file"
    if source == "imagenet":
        write_backbone_weights(folder / WEIGHTS, backbone, _imagenet_weights(backbone))
    elif source == "coco":
        if not backbone.startswith("resnet"):
            raise UserError(f"model.pretrained: coco is a ResNet-101, got {backbone}; imagenet fits it")
        _copy_weights(_download(COCO_WEIGHTS_URL, COCO_WEIGHTS_BYTES), folder)
    elif source == "file":
        _copy_weights(Path(pretrained).expanduser(), folder)
    (folder / SOURCE).write_text(json.dumps({"source": source}) + "\n", encoding="utf-8")
    return source


def _imagenet_weights(backbone: str) -> LayerWeights:
    if backbone in CHECKPOINTS:
        return efficientnet_weights(efficientnet_checkpoint(backbone))
    if backbone == "resnet50":
        return resnet_weights(_download(RESNET50_URL, RESNET50_BYTES, RESNET50_MD5))
    known = ", ".join([*CHECKPOINTS, "resnet50"])
    raise UserError(f"model.pretrained: imagenet has weights for {known}, got {backbone}")


def _download(url: str, size: int, md5: str | None = None) -> Path:
    return download(url, state_folder("downloads") / Path(url).name, size, md5)


def download(url: str, path: Path, size: int, md5: str | None = None) -> Path:
    """Fetches `url` to `path`, resuming a partial download; a complete file is kept.

    Raises:
        UserError: no connection, no such file, another size or hash than stated, or a full disk.
    """
    if path.is_file() and path.stat().st_size == size:
        _check_hash(path, md5)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    require_space(path.parent, max(size - _size(part), 0), f"downloading {path.name}")
    with full_disk_names(path.parent):
        _download_with_retries(url, part, size)
    _check_hash(part, md5)
    part.replace(path)
    return path


def _download_with_retries(url: str, part: Path, size: int) -> None:
    """Resumes after lost connections; gives up when an attempt brings nothing new."""
    for attempt in range(1, ATTEMPTS + 1):
        before = _size(part)
        reason = "the connection was lost"
        try:
            _append(url, part, size)
        except urllib.error.HTTPError as error:
            if error.code not in (416, 429, 500, 502, 503, 504):
                raise UserError(f"{url}: the server answered {error.code} {error.reason}") from None
            reason = f"{error.code} {error.reason}"
            if error.code == 416:  # the part is longer than the file
                part.unlink(missing_ok=True)
                before = -1
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
        have = _size(part)
        if have == size:
            return
        if have > size:
            part.unlink()
            raise UserError(f"{url}: expected {size:,} bytes, got at least {have:,}")
        if attempt == ATTEMPTS or have == before:
            raise UserError(
                f"{url}: no connection ({reason}); {have:,} of {size:,} bytes are here, run again to resume"
            )


def _append(url: str, part: Path, size: int) -> None:
    """One request for what is missing; stops early on more bytes than expected."""
    present = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "fashionseg", "Range": f"bytes={present}-"})
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response, progress_bar() as bar:
        sent = response.headers.get("Content-Range", "")
        if not (response.status == 206 and sent.startswith(f"bytes {present}-")):
            present = 0  # a server may also send the whole file
        task = bar.add_task(f"downloading {part.stem}", total=size, completed=present)
        with part.open("ab" if present else "wb") as file:
            while present <= size and (chunk := response.read1(CHUNK_BYTES)):
                file.write(chunk)
                present += len(chunk)
                bar.advance(task, len(chunk))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_hash(path: Path, md5: str | None) -> None:
    if md5 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != md5:
        path.unlink()
        raise UserError(f"{path}: expected MD5 {md5}, got {found}; it was deleted, run again")


def _copy_weights(weights: Path, folder: Path) -> None:
    """Copies a weight file whose signature is HDF5's."""
    if not weights.is_file():
        raise UserError(
            f"model.pretrained: expected none, imagenet, coco or a weight file, got {weights}: no such file"
        )
    with weights.open("rb") as file:
        if file.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
            raise UserError(f"{weights}: expected an HDF5 weight file, got something else")
    require_space(folder, weights.stat().st_size, f"copying {weights.name}")
    with full_disk_names(folder):
        shutil.copyfile(weights, folder / WEIGHTS)
