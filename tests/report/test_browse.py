"""The pages to look at a data set."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fashionseg.errors import UserError
from fashionseg.report import browse
from fashionseg.report.browse import write_browser
from kaggle_folder import Folder

CHROMIUM = shutil.which("chromium")
HOSTILE = "</script><img src=x>.jpg"


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of four photos in shards of two: one with two objects, one whose name is markup, one of the test, one bad row."""
    folder = Folder(tmp_path)
    folder.row("good.jpg", class_id="6")
    for name in ("tall.jpg", HOSTILE.replace("/", "")):
        folder.photo(name)
        folder.row(name)
    folder.row("tall.jpg", rle="5 99999")
    folder.photo("unseen.jpg", "test")
    folder.decode()
    monkeypatch.setattr(browse, "PER_SHARD", 2)
    out = tmp_path / "pages"
    assert write_browser(out, folder.decoded, tmp_path / "splits") == 4
    return out


def entries(pages: Path) -> list[list[Any]]:
    text = (pages / "photos.js").read_text()
    return json.loads(text.removeprefix("const PHOTOS="))


def test_every_photo_is_listed_with_its_objects_and_what_is_wrong(pages: Path) -> None:
    found = {entry[0]: entry for entry in entries(pages)}
    assert found["good.jpg"][1:5] == ["training", 30, 40, [23, 6]]
    assert found["unseen.jpg"][1:5] == ["test", 30, 40, []]
    assert any(reason.startswith("dropped: EncodedPixels") for reason in found["tall.jpg"][5])


def test_thumbnails_lie_in_shards_in_the_order_of_the_list(pages: Path) -> None:
    assert sorted(path.name for path in (pages / "shards").iterdir()) == ["0.js", "1.js"]
    pictures = []
    for number in (0, 1):
        text = (pages / f"shards/{number}.js").read_text().strip()
        pictures += json.loads(text.removeprefix(f"shard({number},").removesuffix(")"))
    assert len(pictures) == 4
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            assert image.format == "JPEG" and max(image.size) <= browse.SIDE


def test_a_name_of_markup_stays_text(pages: Path) -> None:
    for name in ("photos.js", "index.html"):
        assert "<script><img" not in (pages / name).read_text().replace("\\u003c", "")
    page = (pages / "index.html").read_text()
    assert page.count("<script") == page.count("</script>") == 2
    assert "http" not in page  # nothing is fetched


def test_without_decoded_photos_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `dvc repro decode`"):
        write_browser(tmp_path / "pages", tmp_path / "decoded", None)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize(
    ("words", "expected"), [("", 4), ("shoe n=1", 2), ("!", None), ("%22shirt,%20blouse%22", 0)]
)
def test_typing_finds_photos_in_a_browser(pages: Path, words: str, expected: int) -> None:
    if expected is None:
        expected = sum(bool(entry[5]) for entry in entries(pages))
        assert 0 < expected < 4
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=3000",
        "--dump-dom",
    ]
    done = subprocess.run(
        [*command, f"{(pages / 'index.html').as_uri()}#{words}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert f">{expected} photos</span>" in done.stdout
    assert done.stdout.count('class="box"') == expected
    assert done.stdout.count('src="data:image/jpeg;base64,') == expected
