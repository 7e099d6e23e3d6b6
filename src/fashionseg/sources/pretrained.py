"""Pretrained weights: Matterport's COCO weights from the public release, or any weight file.

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
from fashionseg.storage.disk import full_disk_names, require_space

# The release of 2018-03-19, weights of the ResNet-101 trained on COCO; the address and the size never changed.
COCO_WEIGHTS_URL = "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"
COCO_WEIGHTS_BYTES = 257_557_808
COCO_WEIGHTS_SHA256: str | None = None  # the release states none

WEIGHTS, SOURCE = "weights.h5", "source.json"
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 60
ATTEMPTS = 5


def write_pretrained(
    folder: Path, pretrained: str, url: str = COCO_WEIGHTS_URL, size: int = COCO_WEIGHTS_BYTES
) -> str:
    """Fills the empty `folder` for `model.pretrained`: `source.json`, and `weights.h5` unless it is `none`.

    Returns:
        `none`, `coco` or `file`.

    Raises:
        UserError: the file is missing or not HDF5, or the download failed.
    """
    source = pretrained if pretrained in ("none", "coco") else "file"
    if source == "coco":
        weights = download(url, state_folder("downloads") / Path(url).name, size, COCO_WEIGHTS_SHA256)
        _copy_weights(weights, folder)
    elif source == "file":
        _copy_weights(Path(pretrained).expanduser(), folder)
    (folder / SOURCE).write_text(json.dumps({"source": source}) + "\n", encoding="utf-8")
    return source


def download(url: str, path: Path, size: int, sha256: str | None = None) -> Path:
    """Fetches `url` to `path`, resuming a partial download; a complete file is kept.

    Raises:
        UserError: no connection, no such file, another size or hash than stated, or a full disk.
    """
    if path.is_file() and path.stat().st_size == size:
        _check_hash(path, sha256)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    require_space(path.parent, max(size - _size(part), 0), f"downloading {path.name}")
    with full_disk_names(path.parent):
        _download_with_retries(url, part, size)
    _check_hash(part, sha256)
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


def _check_hash(path: Path, sha256: str | None) -> None:
    if sha256 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        path.unlink()
        raise UserError(f"{path}: expected SHA-256 {sha256}, got {found}; it was deleted, run again")


def _copy_weights(weights: Path, folder: Path) -> None:
    """Copies a weight file whose signature is HDF5's."""
    if not weights.is_file():
        raise UserError(
            f"model.pretrained: expected none, coco or a weight file, got {weights}: no such file"
        )
    with weights.open("rb") as file:
        if file.read(len(HDF5_SIGNATURE)) != HDF5_SIGNATURE:
            raise UserError(f"{weights}: expected an HDF5 weight file, got something else")
    require_space(folder, weights.stat().st_size, f"copying {weights.name}")
    with full_disk_names(folder):
        shutil.copyfile(weights, folder / WEIGHTS)
