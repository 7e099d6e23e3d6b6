"""train.csv as a whole in another encoding than Kaggle's: noticed before work, translated where stated."""

from __future__ import annotations

import filecmp
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fashionseg.data.rle import mask_to_runs, parse_rle, runs_to_mask
from fashionseg.data.tables import read_instances
from fashionseg.errors import UserError
from fashionseg.prepare.csv_index import index_annotations
from fashionseg.prepare.encoding import KAGGLE, Mask, check_encoding, plainly_better, read_runs, to_kaggle
from kaggle_folder import HEIGHT, WIDTH, Folder, text

CCP = Path(__file__).parents[3] / "shared" / "ccp"
Numbers = list[int]


def runs_of(mask: np.ndarray) -> np.ndarray:
    return mask_to_runs(mask).astype(int)


def pairs(runs: np.ndarray, first: int) -> Numbers:
    return (runs + np.array([first, 0])).ravel().tolist()


def ends(runs: np.ndarray, first: int) -> Numbers:
    return np.stack((runs[:, 0] + first, runs.sum(axis=1) - 1 + first), axis=1).ravel().tolist()


def counts(runs: np.ndarray, size: int) -> Numbers:
    edges = [0, *np.stack((runs[:, 0], runs.sum(axis=1)), axis=1).ravel().tolist(), size]
    return np.diff(edges).tolist()


# How tools write a mask: by setting, the numbers.
WRITERS: dict[tuple[str, ...], Callable[[np.ndarray], Numbers]] = {
    ("rows",): lambda mask: pairs(runs_of(mask.T), 1),
    ("from_0",): lambda mask: pairs(runs_of(mask), 0),
    ("rows", "from_0"): lambda mask: pairs(runs_of(mask.T), 0),
    ("start_end",): lambda mask: ends(runs_of(mask), 1),
    ("rows", "start_end"): lambda mask: ends(runs_of(mask.T), 1),
    ("start_end", "from_0"): lambda mask: ends(runs_of(mask), 0),
    ("coco_counts",): lambda mask: counts(runs_of(mask), mask.size),
    ("rows", "coco_counts"): lambda mask: counts(runs_of(mask.T), mask.size),
    ("exchanged_sizes",): lambda mask: pairs(runs_of(mask), 1),
    ("rows", "exchanged_sizes"): lambda mask: pairs(runs_of(mask.T), 1),
}


def ellipse(place: int) -> np.ndarray:
    """A mask that reaches the upper edge, and the left one."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return ((y - 6) / (9 + place % 5)) ** 2 + ((x - 5 - place % 4) / (8 + place % 3)) ** 2 < 1


def fill(folder: Folder, reading: tuple[str, ...]) -> None:
    folder.lines = folder.lines[:1]
    (folder.raw / "train" / "good.jpg").unlink()
    height, width = (WIDTH, HEIGHT) if "exchanged_sizes" in reading else (HEIGHT, WIDTH)
    for place in range(12):
        mask = ellipse(place)
        folder.photo(f"{place:02d}.jpg", mask=mask)
        numbers = WRITERS[reading](mask) if reading else pairs(runs_of(mask), 1)
        folder.row(f"{place:02d}.jpg", " ".join(map(str, numbers)), height, width)


@pytest.mark.parametrize("reading", WRITERS, ids=" ".join)
@pytest.mark.fault(
    table="csv",
    case="the whole `train.csv` row by row, from 0, as start and end, as COCO's counts, or with sizes exchanged",
    outcome="refused before work with the reading and the setting that states it; read where it is stated",
)
def test_another_encoding_is_refused_and_where_stated_read(tmp_path: Path, reading: tuple[str, ...]) -> None:
    kaggle, other = Folder(tmp_path / "kaggle"), Folder(tmp_path / "other")
    fill(kaggle, KAGGLE)
    fill(other, reading)
    setting = f"decode.encoding=[{','.join(reading)}],"
    with pytest.raises(UserError) as error:
        other.decode()
    assert setting in str(error.value)
    assert "\n" not in str(error.value)
    assert not other.decoded.exists()
    assert kaggle.decode() == other.decode(encoding=reading)
    names = sorted(path.name for path in kaggle.decoded.iterdir())
    assert filecmp.cmpfiles(kaggle.decoded, other.decoded, names, shallow=False) == (names, [], [])


def test_who_states_kaggles_encoding_is_not_checked(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    fill(folder, ("rows",))
    folder.decode(encoding=())
    assert len(read_instances(folder.decoded)) == 12


def thin(kind: str, place: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    match kind:
        case "vertical":
            mask[2:38, 3 + place] = True
        case "horizontal":
            mask[4 + place, 1:29] = True
        case "diagonal":
            mask = abs(y - x - place) < 2
        case "steep":
            mask = (y - 4 * x + 10 * place) // 4 == 0
        case "tiny":
            mask[place : place + 2, place : place + 2] = True
        case "stripes":
            mask = (x % 2 == 0) & (y > place)
        case "chessboard":
            mask = (x + y + place) % 2 == 0
        case "bottom but one":
            mask[20 : HEIGHT - 1, place : place + 9] = True
        case "all":
            mask[:] = True
    return mask


@pytest.mark.parametrize(
    "kind",
    ["vertical", "horizontal", "diagonal", "steep", "tiny", "stripes", "chessboard", "bottom but one", "all"],
)
def test_thin_tiny_and_odd_masks_are_no_false_alarm(tmp_path: Path, kind: str) -> None:
    folder = Folder(tmp_path)
    for place in range(12):
        folder.photo(f"{place:02d}.jpg")
        folder.row(f"{place:02d}.jpg", text(thin(kind, place)))
    assert folder.decode()["counts"]["train_photos"] >= 12


def test_nearly_square_photos_with_thin_masks_are_no_false_alarm() -> None:
    """Read with the other side, a slanted line of a nearly square photo is an upright one."""
    height, width = 60, 66
    y, x = np.mgrid[:height, :width]
    masks = [
        Mask(text(abs(y - slope * (x - place)) < 3), (height, width), frozenset({(height, width)}))
        for place in (5, 15, 25)
        for slope in (-6, -3, 3, 6)
    ]
    assert plainly_better(masks) == KAGGLE


def check_all(folder: Path, step: int = 1) -> None:
    index = index_annotations(folder / "train.csv")
    photos = [(folder / "train" / name, spans) for name, spans in sorted(index.photos.items())]
    for start in range(step):
        check_encoding(index.layout, photos[start::step], 120)


@pytest.mark.skipif(not CCP.exists(), reason="the real photos are not next to the repository")
def test_real_photos_are_no_false_alarm() -> None:
    check_all(CCP, step=10)


@pytest.mark.parametrize("reading", WRITERS, ids=" ".join)
def test_a_stated_reading_gives_the_mask_back(reading: tuple[str, ...]) -> None:
    mask = ellipse(3)
    written = " ".join(map(str, WRITERS[reading](mask)))
    runs = parse_rle(to_kaggle(written, mask.shape, reading), *mask.shape) if "rows" in reading else None
    if "rows" in reading and "exchanged_sizes" not in reading:
        np.testing.assert_array_equal(runs_to_mask(runs, mask.shape), mask)
    elif "rows" not in reading:
        np.testing.assert_array_equal(
            runs_to_mask(parse_rle(to_kaggle(written, mask.shape, reading), *mask.shape), mask.shape), mask
        )


@pytest.mark.parametrize("written", ["", "x", "1 2 3", "9" * 30 + " 1"])
def test_what_is_no_text_of_the_reading_is_a_faulty_row(written: str) -> None:
    assert read_runs(written, (4, 5), ("rows",)) is None
    with pytest.raises(ValueError, match="expected masks row by row within 4 x 5 pixels"):
        to_kaggle(written, (4, 5), ("rows",))
