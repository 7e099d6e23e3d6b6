"""Zip files: unpacked as zipfile itself reads them, inside the folder, or refused."""

from __future__ import annotations

import io
import shutil
import zipfile

from hypothesis import strategies as st
from tests.fuzz.harness import fuzz, mutations, scratch_folder

from fashionseg.errors import UserError
from fashionseg.sources.archive import unpack

FOLDER = scratch_folder()


def archive(members: dict[str, bytes], method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


MEMBERS = {"train.csv": b"ImageId\n" * 20, "train/a.jpg": b"photo", "empty/": b"", "train/\u00e4.jpg": b"x"}
FILES = [archive(MEMBERS, method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA)]
NAMES = st.lists(st.sampled_from(["..", ".", "", "a", "C:", "/", "\\", "\u00e4", "x" * 300]), max_size=4).map(
    lambda parts: "/".join(parts) or "."
)


@fuzz(
    0.02, data=st.one_of(mutations(*FILES), NAMES.map(lambda name: archive({name: b"x"}, zipfile.ZIP_STORED)))
)
def test_zip_file(data: bytes) -> str:
    path, target = FOLDER / "a.zip", FOLDER / "sub" / "out"
    path.write_bytes(data)
    shutil.rmtree(FOLDER / "sub", ignore_errors=True)
    target.mkdir(parents=True)
    try:
        unpack(path, target)
    except UserError as error:
        assert str(error).isprintable(), error
        return "refused"
    finally:
        assert [entry.name for entry in target.parent.iterdir()] == ["out"]
        assert sorted(entry.name for entry in FOLDER.iterdir()) == ["a.zip", "sub"]
    with zipfile.ZipFile(path) as opened:
        for info in opened.infolist():
            if not info.is_dir():
                assert (target / info.filename).read_bytes() == opened.read(info)
    return "valid"
