"""Unpacking: whole files inside the folder, or one clear refusal before anything is written."""

import shutil
import stat
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from fashionseg.errors import UserError
from fashionseg.sources.archive import unpack
from fashionseg.storage.disk import require_space


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_unpacking_inverts_packing(tmp_path: Path, target: Path) -> None:
    archive = write_zip(
        tmp_path / "a.zip", {"train.csv": b"x" * 5000, "train/a.jpg": b"photo", "empty/": b""}
    )
    assert unpack(archive, target) == 2
    assert (target / "train.csv").read_bytes() == b"x" * 5000
    assert (target / "train/a.jpg").read_bytes() == b"photo"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.txt", "leads out"),
        ("train/../../evil.txt", "leads out"),
        ("/etc/evil.txt", "absolute"),
        ("..\\evil.txt", "strange"),
        ("C:/evil.txt", "strange"),
        ("good.txt\0.jpg", "strange"),
        (".", "strange"),  # found by reading for the fuzz tests: an IndexError
    ],
)
@pytest.mark.fault(
    table="labels-and-archives",
    case="archive with absolute paths, `..`, odd names",
    outcome="refused before a byte is written",
)
def test_names_outside_the_folder_are_refused_before_anything_is_written(
    tmp_path: Path, target: Path, name: str, reason: str
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("first.txt", b"harmless")
        info = zipfile.ZipInfo("harmless")
        info.filename = name
        archive.writestr(info, b"bad")
    with pytest.raises(UserError, match=reason):
        unpack(tmp_path / "a.zip", target)
    assert not any(target.iterdir())
    assert not (tmp_path / "evil.txt").exists()


@pytest.mark.fault(
    table="labels-and-archives", case="archive with links, a duplicate name, or damage", outcome="refused"
)
def test_links_are_refused(tmp_path: Path, target: Path) -> None:
    link = zipfile.ZipInfo("train")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, b"/etc")
        archive.writestr("train/passwd", b"bad")
    with pytest.raises(UserError, match="link"):
        unpack(tmp_path / "a.zip", target)
    assert not any(target.iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")  # that is what the test is about
def test_a_name_twice_is_refused(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", b"one")
        archive.writestr("a.txt", b"two")
    with pytest.raises(UserError, match="twice"):
        unpack(tmp_path / "a.zip", target)


def test_a_file_where_a_folder_must_be_is_one_clear_error(tmp_path: Path, target: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"train": b"a file", "train/a.jpg": b"photo"})
    with pytest.raises(UserError, match="collides"):
        unpack(archive, target)


def test_a_flipped_bit_is_found_by_the_crc(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.jpg", b"0123456789")
    damaged = bytearray((tmp_path / "a.zip").read_bytes())
    damaged[damaged.index(b"0123456789")] ^= 1
    (tmp_path / "a.zip").write_bytes(damaged)
    with pytest.raises(UserError, match=r"not a complete zip file.*CRC"):
        unpack(tmp_path / "a.zip", target)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.fault(table="labels-and-archives", case="archive with links, a duplicate name, or damage")
def test_damage_inside_a_compressed_file_is_one_line(tmp_path: Path, target: Path, method: int) -> None:
    """Found by fuzzing: each decompressor raises another kind of error."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.bin", bytes(range(256)) * 20)
    data = bytearray(path.read_bytes())
    data[45:55] = b"\xff" * 10
    path.write_bytes(data)
    with pytest.raises(UserError, match="not a complete zip file") as error:
        unpack(path, target)
    assert str(error.value).isprintable()


def test_a_damaged_offset_and_a_name_too_long_are_one_line(tmp_path: Path, target: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a.jpg": b"photo" * 100})
    whole = path.read_bytes()
    path.write_bytes(whole[10:])  # found by fuzzing: zipfile seeks to before the beginning
    with pytest.raises(UserError, match="not a complete zip file"):
        unpack(path, target)
    with pytest.raises(UserError, match=r"cannot be unpacked into .*: File name too long"):
        unpack(write_zip(tmp_path / "b.zip", {"x" * 300: b""}), target)


def test_a_truncated_archive_is_refused(tmp_path: Path, target: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a.jpg": b"photo" * 100})
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(UserError, match="not a complete zip file"):
        unpack(archive, target)


@pytest.mark.fault(table="disk", case="disk full before a download or copy, as far as its size is known")
def test_space_is_checked_before_the_first_byte(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    archive = write_zip(tmp_path / "a.zip", {"a.bin": bytes(3_000_000)})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 1_000_000))
    with pytest.raises(UserError, match=r"disk full: unpacking a.zip needs 3.0 MB, .* has 1.0 MB free"):
        unpack(archive, target)
    assert not any(target.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 10**9))
    require_space(target, 3_000_000, "it")
