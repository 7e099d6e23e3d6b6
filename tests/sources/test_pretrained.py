"""Pretrained weights: nothing, a file, or a download that survives cuts and checks what it got."""

import hashlib
import io
import json
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fashionseg.errors import UserError
from fashionseg.sources import pretrained
from fashionseg.sources.pretrained import COCO_WEIGHTS_BYTES, HDF5_SIGNATURE, download, write_pretrained
from fashionseg.storage.backbone_weights import read_backbone_weights
from kaggle_server import serving

CONTENT = HDF5_SIGNATURE + bytes(range(256)) * 4000
SIZE = len(CONTENT)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)
    with serving() as running:
        running.files["/files/weights.h5"] = CONTENT
        running.address = f"{running.url}/files/weights.h5"
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "pretrained"
    path.mkdir()
    return path


def test_without_pretrained_weights_the_source_is_none(folder: Path) -> None:
    assert write_pretrained(folder, "none", "resnet26") == "none"
    assert [path.name for path in folder.iterdir()] == ["source.json"]
    assert json.loads((folder / "source.json").read_text()) == {"source": "none"}


def test_a_weight_file_is_copied(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.h5").write_bytes(CONTENT)
    assert write_pretrained(folder, str(tmp_path / "mine.h5"), "resnet26") == "file"
    assert (folder / "weights.h5").read_bytes() == CONTENT
    assert json.loads((folder / "source.json").read_text()) == {"source": "file"}


def test_a_missing_weight_file_is_named(folder: Path) -> None:
    with pytest.raises(
        UserError, match=r"expected none, imagenet, coco or a weight file, got cocoo: no such file"
    ):
        write_pretrained(folder, "cocoo", "resnet26")


def test_a_file_that_is_not_hdf5_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "page.h5").write_text("<html>Not found</html>")
    with pytest.raises(UserError, match=r"page.h5: expected an HDF5 weight file"):
        write_pretrained(folder, str(tmp_path / "page.h5"), "resnet26")


def test_coco_weights_are_downloaded_once(
    server: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "COCO_WEIGHTS_URL", server.address)
    monkeypatch.setattr(pretrained, "COCO_WEIGHTS_BYTES", SIZE)
    assert write_pretrained(folder, "coco", "resnet101") == "coco"
    assert (folder / "weights.h5").read_bytes() == CONTENT
    assert json.loads((folder / "source.json").read_text()) == {"source": "coco"}
    server.ranges.clear()
    again = tmp_path / "again"
    again.mkdir()
    write_pretrained(again, "coco", "resnet101")
    assert (again / "weights.h5").read_bytes() == CONTENT
    assert server.ranges == []


def test_coco_weights_do_not_fit_an_efficientnet(folder: Path) -> None:
    with pytest.raises(UserError, match="coco is a ResNet-101, got efficientnet_lite0; imagenet fits it"):
        write_pretrained(folder, "coco", "efficientnet_lite0")


@pytest.mark.parametrize("name", ["resnet14", "resnet26", "resnet101"])
def test_imagenet_names_the_backbones_it_has_weights_for(folder: Path, name: str) -> None:
    with pytest.raises(UserError) as error:
        write_pretrained(folder, "imagenet", name)
    assert str(error.value) == (
        "model.pretrained: imagenet has weights for efficientnet_lite0, efficientnet_lite2, resnet50, "
        f"got {name}"
    )


@pytest.mark.parametrize(("name", "layers"), [("efficientnet_lite0", 96), ("efficientnet_lite2", 126)])
def test_imagenet_weights_of_an_efficientnet_need_no_network(folder: Path, name: str, layers: int) -> None:
    assert write_pretrained(folder, "imagenet", name) == "imagenet"
    assert json.loads((folder / "source.json").read_text()) == {"source": "imagenet"}
    stored, weights = read_backbone_weights(folder / "weights.h5")
    assert (stored, len(weights)) == (name, layers)


@pytest.fixture
def resnet50(server: Any, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A file in the layout of ResNet-50's release, of one layer, in place of the release."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["layer_names"] = np.array(["conv1"], "S")
        file.create_group("conv1").attrs["weight_names"] = np.array(["conv1_W:0", "conv1_b:0"], "S")
        file["conv1"]["conv1_W:0"] = np.arange(7 * 7 * 3 * 64, dtype=np.float32).reshape(7, 7, 3, 64)
        file["conv1"]["conv1_b:0"] = np.zeros(64, np.float32)
    content = buffer.getvalue()
    server.files["/files/resnet50.h5"] = content
    monkeypatch.setattr(pretrained, "RESNET50_URL", f"{server.url}/files/resnet50.h5")
    monkeypatch.setattr(pretrained, "RESNET50_BYTES", len(content))
    monkeypatch.setattr(pretrained, "RESNET50_MD5", hashlib.md5(content).hexdigest())
    return content


def test_imagenet_weights_of_resnet50_are_downloaded_with_a_resume_and_turned_to_rgb(
    server: Any, folder: Path, resnet50: bytes
) -> None:
    server.cuts = [10_000]
    assert write_pretrained(folder, "imagenet", "resnet50") == "imagenet"
    assert server.ranges == ["bytes=0-", "bytes=10000-"]
    name, weights = read_backbone_weights(folder / "weights.h5")
    assert name == "resnet50"
    # The first pixel's 64 kernels of blue, green and red began at 0, 64 and 128.
    assert weights["conv1"]["kernel"][0, 0, :, 0].tolist() == [128.0, 64.0, 0.0]


@pytest.mark.fault(
    table="network",
    case="ImageNet weights that are not those of the release",
    outcome="refused by their hash, deleted; nothing is left for the next run to trust",
)
def test_another_file_in_place_of_resnet50_is_refused_and_deleted(
    server: Any, folder: Path, tmp_path: Path, resnet50: bytes
) -> None:
    server.files["/files/resnet50.h5"] = resnet50[:-1] + bytes([resnet50[-1] ^ 1])
    with pytest.raises(UserError, match="expected MD5"):
        write_pretrained(folder, "imagenet", "resnet50")
    assert list(folder.iterdir()) == []
    assert not list(tmp_path.rglob("resnet50.h5*"))
    server.files["/files/resnet50.h5"] = resnet50
    assert write_pretrained(folder, "imagenet", "resnet50") == "imagenet"


def test_a_download_damaged_since_is_refused(
    server: Any, folder: Path, tmp_path: Path, resnet50: bytes
) -> None:
    write_pretrained(folder, "imagenet", "resnet50")
    (kept,) = tmp_path.rglob("resnet50.h5")
    kept.write_bytes(bytes(len(resnet50)))
    with pytest.raises(UserError, match="it was deleted, run again"):
        write_pretrained(folder, "imagenet", "resnet50")
    assert not kept.exists()


def test_a_lost_connection_resumes_the_download(server: Any, tmp_path: Path) -> None:
    server.cuts = [400_000, 300_000]
    assert download(server.address, tmp_path / "w.h5", SIZE).read_bytes() == CONTENT
    assert server.ranges == ["bytes=0-", "bytes=400000-", "bytes=700000-"]


def test_the_next_run_resumes_an_interrupted_download(server: Any, tmp_path: Path) -> None:
    server.cuts = [500_000, 0]
    with pytest.raises(UserError, match=r"500,000 of 1,024,008 bytes are here, run again to resume"):
        download(server.address, tmp_path / "w.h5", SIZE)
    assert not (tmp_path / "w.h5").exists()
    server.ranges.clear()
    assert download(server.address, tmp_path / "w.h5", SIZE).read_bytes() == CONTENT
    assert server.ranges == ["bytes=500000-"]


def test_a_server_without_ranges_sends_all_again(server: Any, tmp_path: Path) -> None:
    server.cuts = [500_000]
    server.ignores_ranges = True
    assert download(server.address, tmp_path / "w.h5", SIZE).read_bytes() == CONTENT


def test_a_partial_file_longer_than_expected_is_deleted(server: Any, tmp_path: Path) -> None:
    (tmp_path / "w.h5.part").write_bytes(CONTENT + b"too much")
    assert download(server.address, tmp_path / "w.h5", SIZE).read_bytes() == CONTENT


def test_another_size_than_expected_is_an_error(server: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected 1,000 bytes, got at least"):
        download(server.address, tmp_path / "w.h5", 1000)
    assert not (tmp_path / "w.h5").exists()


def test_the_hash_is_checked_when_known(server: Any, tmp_path: Path) -> None:
    good = hashlib.md5(CONTENT).hexdigest()
    assert download(server.address, tmp_path / "good.h5", SIZE, good).exists()
    with pytest.raises(UserError, match=r"expected MD5 0000, got .*; it was deleted, run again"):
        download(server.address, tmp_path / "bad.h5", SIZE, "0000")
    assert not list(tmp_path.glob("bad.h5*"))


def test_a_missing_page_is_not_retried(server: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the server answered 404"):
        download(f"{server.url}/files/other.h5", tmp_path / "w.h5", SIZE)
    assert len(server.ranges) == 1


def test_no_network_is_one_clear_line(tmp_path: Path) -> None:
    with serving() as closed:
        address = f"{closed.url}/files/weights.h5"
    with pytest.raises(UserError, match="no connection"):
        download(address, tmp_path / "w.h5", SIZE)


def test_disk_full_is_noticed_before_the_download(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 1000))
    with pytest.raises(UserError, match=r"disk full: downloading w.h5 needs 257.6 MB"):
        download(server.address, tmp_path / "w.h5", COCO_WEIGHTS_BYTES)
    assert server.ranges == []
