"""Pretrained weights: nothing, a file, or a download that survives cuts and checks what it got."""

import hashlib
import json
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fashionseg.errors import UserError
from fashionseg.sources.pretrained import COCO_WEIGHTS_BYTES, HDF5_SIGNATURE, download, write_pretrained
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
    assert write_pretrained(folder, "none") == "none"
    assert [path.name for path in folder.iterdir()] == ["source.json"]
    assert json.loads((folder / "source.json").read_text()) == {"source": "none"}


def test_a_weight_file_is_copied(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.h5").write_bytes(CONTENT)
    assert write_pretrained(folder, str(tmp_path / "mine.h5")) == "file"
    assert (folder / "weights.h5").read_bytes() == CONTENT
    assert json.loads((folder / "source.json").read_text()) == {"source": "file"}


def test_a_missing_weight_file_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"expected none, coco or a weight file, got cocoo: no such file"):
        write_pretrained(folder, "cocoo")


def test_a_file_that_is_not_hdf5_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "page.h5").write_text("<html>Not found</html>")
    with pytest.raises(UserError, match=r"page.h5: expected an HDF5 weight file"):
        write_pretrained(folder, str(tmp_path / "page.h5"))


def test_coco_weights_are_downloaded_once(server: Any, folder: Path, tmp_path: Path) -> None:
    assert write_pretrained(folder, "coco", server.address, SIZE) == "coco"
    assert (folder / "weights.h5").read_bytes() == CONTENT
    assert json.loads((folder / "source.json").read_text()) == {"source": "coco"}
    server.ranges.clear()
    again = tmp_path / "again"
    again.mkdir()
    write_pretrained(again, "coco", server.address, SIZE)
    assert (again / "weights.h5").read_bytes() == CONTENT
    assert server.ranges == []


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
    good = hashlib.sha256(CONTENT).hexdigest()
    assert download(server.address, tmp_path / "good.h5", SIZE, good).exists()
    with pytest.raises(UserError, match="expected SHA-256 0000"):
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
