"""The drawn sample: Kaggle's layout, masks that match the photos, reproducible bytes."""

import csv
import hashlib
import io
import re
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from fashionseg.data.rle import parse_rle, runs_area, runs_box, runs_to_mask
from fashionseg.sample import layout
from fashionseg.sample.canvas import Canvas
from fashionseg.sample.geometry import Frame, along, ellipse, limb, smooth
from fashionseg.sample.layout import write_sample
from fashionseg.sample.photos import draw_photo
from fashionseg.sample.textures import PATTERN_ATTRIBUTES, Texture
from fashionseg.taxonomy import competition_taxonomy, load_taxonomy, parse_class_id

TRAIN_PHOTOS, TEST_PHOTOS, SEED = 24, 3, 7
GARMENTS = range(13)
SHOE, BAG, COLLAR, SLEEVE, POCKET, NECKLINE = 23, 24, 28, 31, 32, 33


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, TRAIN_PHOTOS, TEST_PHOTOS, SEED, workers=1)
    return folder


@pytest.fixture(scope="module")
def rows(sample: Path) -> list[dict[str, str]]:
    with (sample / "train.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def masks_of(rows: list[dict[str, str]]) -> list[tuple[int, np.ndarray]]:
    return [
        (
            int(row["ClassId"].split("_")[0]),
            runs_to_mask(
                parse_rle(row["EncodedPixels"], int(row["Height"]), int(row["Width"])),
                (int(row["Height"]), int(row["Width"])),
            ),
        )
        for row in rows
    ]


def by_photo(rows: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    return [list(group) for _, group in groupby(rows, key=lambda row: row["ImageId"])]


def test_sample_has_kaggles_files(sample: Path) -> None:
    assert sorted(path.name for path in sample.iterdir()) == [
        "label_descriptions.json",
        "sample_submission.csv",
        "test",
        "train",
        "train.csv",
    ]
    for subset, count in (("train", TRAIN_PHOTOS), ("test", TEST_PHOTOS)):
        names = [path.name for path in (sample / subset).iterdir()]
        assert len(names) == count
        assert all(re.fullmatch(r"[0-9a-f]{32}\.jpg", name) for name in names)
    assert load_taxonomy(sample / "label_descriptions.json") == competition_taxonomy()


def test_rows_of_a_photo_are_consecutive_in_train_csv(sample: Path, rows: list[dict[str, str]]) -> None:
    assert list(rows[0]) == ["ImageId", "EncodedPixels", "Height", "Width", "ClassId"]
    ids = [group[0]["ImageId"] for group in by_photo(rows)]
    assert len(ids) == len(set(ids))
    assert set(ids) == {path.name for path in (sample / "train").iterdir()}


def test_sample_submission_has_one_row_per_test_photo(sample: Path) -> None:
    lines = (sample / "sample_submission.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "ImageId,EncodedPixels,ClassId"
    assert lines[1:] == [f"{path.name},1 1,23" for path in sorted((sample / "test").iterdir())]


def test_csv_sizes_match_the_upright_photos(sample: Path, rows: list[dict[str, str]]) -> None:
    for group in by_photo(rows):
        with Image.open(sample / "train" / group[0]["ImageId"]) as photo:
            width, height = ImageOps.exif_transpose(photo).size
        assert {(row["Height"], row["Width"]) for row in group} == {(str(height), str(width))}


def test_smallest_sample_has_a_grayscale_and_a_rotated_photo(tmp_path: Path) -> None:
    write_sample(tmp_path, 10, 1, SEED, workers=1)
    modes, orientations = [], []
    for path in (tmp_path / "train").iterdir():
        with Image.open(path) as photo:
            modes.append(photo.mode)
            orientations.append(photo.getexif().get(0x0112, 1))
    assert (modes.count("L"), modes.count("RGB")) == (1, 9)
    assert orientations.count(6) == 1


def test_rotated_photo_matches_its_masks_when_upright() -> None:
    """Train photo 7 is stored rotated; its masks fit the upright photo: shoes are at the bottom."""
    photo = draw_photo(SEED, "train", 7)
    with Image.open(io.BytesIO(photo.jpeg)) as stored:
        assert stored.width > stored.height
        upright = ImageOps.exif_transpose(stored)
    assert (upright.height, upright.width) == (photo.rows[0].height, photo.rows[0].width)
    shoes = [row for row in photo.rows if row.class_id == str(SHOE)]
    for row in shoes:
        mask = runs_to_mask(parse_rle(row.encoded_pixels, row.height, row.width), (row.height, row.width))
        assert np.argwhere(mask)[:, 0].min() > 0.7 * row.height


def test_colour_changes_at_the_edge_of_a_mask() -> None:
    """Masks match pixels: a bag has a different colour from the rest of its box."""
    differences = []
    for number in range(12):
        photo = draw_photo(SEED, "test", number)
        picture = np.asarray(Image.open(io.BytesIO(photo.jpeg)), dtype=np.float32)
        for row in photo.rows:
            if row.class_id == str(BAG):
                runs = parse_rle(row.encoded_pixels, row.height, row.width)
                y1, x1, y2, x2 = runs_box(runs, row.height)
                mask = runs_to_mask(runs, (row.height, row.width))[y1:y2, x1:x2]
                box = picture[y1:y2, x1:x2]
                differences.append(np.abs(np.median(box[mask], axis=0) - np.median(box[~mask], axis=0)).max())
    assert len(differences) >= 3
    assert np.median(differences) > 30


def test_parts_are_inside_garments_and_bags_cover_them(rows: list[dict[str, str]]) -> None:
    seen = set()
    for group in by_photo(rows):
        masks = masks_of(group)
        garments = [mask for category, mask in masks if category in GARMENTS]
        for category, mask in masks:
            seen.add(category)
            if category in (COLLAR, SLEEVE, POCKET, NECKLINE):
                assert max((mask & garment).sum() for garment in garments) == mask.sum()
            if category == BAG:
                assert not any((mask & garment).any() for garment in garments)
    assert {COLLAR, SLEEVE, POCKET, NECKLINE, BAG} <= seen


def test_sample_has_many_categories_shoe_pairs_and_attributes_on_garments_only(
    rows: list[dict[str, str]],
) -> None:
    parsed = [parse_class_id(row["ClassId"], competition_taxonomy()) for row in rows]
    assert len({category for category, _ in parsed}) >= 15
    annotated = {category for category, attributes in parsed if attributes}
    assert annotated
    assert annotated <= set(GARMENTS)
    for group in by_photo(rows):
        assert [row["ClassId"] for row in group].count(str(SHOE)) == 2


def test_instances_are_large_enough_to_learn_at_160_pixels(rows: list[dict[str, str]]) -> None:
    areas = []
    for row in rows:
        height, width = int(row["Height"]), int(row["Width"])
        area = runs_area(parse_rle(row["EncodedPixels"], height, width))
        areas.append(area * (160 / max(height, width)) ** 2)
    assert min(areas) >= 15
    assert np.mean(np.array(areas) >= 40) > 0.98


def test_all_patterns_have_known_attributes() -> None:
    for attributes in PATTERN_ATTRIBUTES.values():
        assert parse_class_id("10_" + "_".join(map(str, sorted(attributes))), competition_taxonomy())


def test_same_seed_gives_the_same_bytes_for_any_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "PHOTOS_WORTH_A_POOL", 2)
    digests = []
    for name, seed, workers in (("one", 3, 1), ("two", 3, 2), ("other", 4, 1)):
        (tmp_path / name).mkdir()
        write_sample(tmp_path / name, 10, 1, seed, workers)
        content = hashlib.sha256()
        for path in sorted((tmp_path / name).rglob("*")):
            if path.is_file():
                content.update(path.relative_to(tmp_path / name).as_posix().encode() + path.read_bytes())
        digests.append(content.hexdigest())
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def square_canvas() -> Canvas:
    """20 x 20 pixels; figure point (x, y) is pixel (10 x, 10 y + 10)."""
    return Canvas(np.zeros((20, 20, 3), np.float32), Frame(10.0, (0.0, 20.0), 0.0))


def box(x1: float, y1: float, x2: float, y2: float) -> np.ndarray:
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def test_layer_covers_instances_below_and_part_belongs_to_both() -> None:
    canvas = square_canvas()
    shirt, pocket, bag = canvas.add(0), canvas.add(32), canvas.add(24)
    canvas.fill([box(0.0, -0.8, 1.0, 0.2)], (1.0, 0.0, 0.0), (shirt,))  # 10 x 10 pixels
    canvas.fill([box(0.2, -0.6, 0.5, -0.2)], (0.0, 1.0, 0.0), (pocket, shirt))  # 3 x 4
    canvas.fill([box(0.0, 0.0, 0.3, 0.2)], (0.0, 0.0, 1.0), (bag,))  # 3 x 2
    canvas.fill([box(0.5, -0.8, 0.6, -0.7)], (1.0, 1.0, 1.0), None)  # decoration
    assert [int(canvas.mask(number).sum()) for number in (shirt, pocket, bag)] == [94, 12, 6]
    assert np.array_equal(np.argwhere(canvas.mask(bag))[[0, -1]], [(10, 0), (11, 2)])


def test_mostly_hidden_instances_are_not_annotated() -> None:
    canvas = square_canvas()
    below, above = canvas.add(1), canvas.add(4)
    canvas.fill([box(0.0, -0.8, 1.0, 0.2)], (1.0, 0.0, 0.0), (below,))
    canvas.fill([box(0.0, -0.8, 1.0, 0.1)], (0.0, 1.0, 0.0), (above,))  # 90 of 100 pixels
    assert [instance.category for instance, _ in canvas.visible_instances(min_area=1)] == [4]


def test_shapes_outside_the_photo_change_nothing() -> None:
    canvas = square_canvas()
    number = canvas.add(24)
    patch = canvas.fill([box(5.0, 0.0, 6.0, 0.5)], (1.0, 1.0, 1.0), (number,))
    canvas.stroke(np.array([(5.0, 0.0), (6.0, 0.5)]), 0.1, 0.5, patch)
    assert not canvas.image.any()
    assert not canvas.mask(number).any()


def test_to_units_inverts_to_pixels() -> None:
    frame = Frame(321.0, (77.0, 450.0), 0.1)
    points = np.array([(0.2, 0.3), (-0.1, 0.9), (0.0, 1.0)])
    pixels = frame.to_pixels(points)
    assert pixels[2] == pytest.approx((77.0, 450.0))
    assert np.column_stack(frame.to_units(pixels[:, 0], pixels[:, 1])) == pytest.approx(points)


def test_along_cuts_a_path_at_a_fraction_of_its_length() -> None:
    path = [(0.0, 0.0), (0.0, 3.0), (1.0, 3.0)]  # 4 long
    assert along(path, 0.5) == [(0.0, 0.0), (0.0, 2.0)]
    assert along(path, 0.875) == [(0.0, 0.0), (0.0, 3.0), (0.5, 3.0)]


def test_limb_with_a_flat_end_ends_at_the_joint() -> None:
    joints, radii = [(0.0, 0.0), (0.0, 0.5), (0.0, 1.0)], (0.1, 0.1, 0.1)
    assert np.concatenate(limb(joints, radii))[:, 1].max() == pytest.approx(1.1)
    assert np.concatenate(limb(joints, radii, round_end=False))[:, 1].max() == pytest.approx(1.0)


def test_smooth_stays_inside_the_outline_and_keeps_open_ends() -> None:
    closed = smooth(box(0.0, 0.0, 1.0, 1.0))
    assert closed.min() >= 0.0
    assert closed.max() <= 1.0
    line = smooth([(0.0, 0.0), (1.0, 1.0), (2.0, 0.0)], closed=False)
    assert line[[0, -1]].tolist() == [[0.0, 0.0], [2.0, 0.0]]
    assert len(ellipse(0, 0, 1, 1, n=12)) == 12


@pytest.mark.parametrize("kind", PATTERN_ATTRIBUTES)
def test_fabrics_are_in_range_and_patterns_show_both_colours(kind: str) -> None:
    fabric = Texture(kind, (0.2, 0.2, 0.2), (0.8, 0.8, 0.8))
    grid = np.linspace(0, 1, 200, dtype=np.float32)
    colours = fabric.at(grid[None, :], grid[:, None])
    assert colours.shape == (200, 200, 3)
    assert colours.min() > 0.1
    assert colours.max() < 0.95
    plain = kind in ("plain", "melange", "gradient", "knit", "denim")
    assert plain or colours.max() - colours.min() > 0.25
