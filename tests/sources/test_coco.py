"""COCO instances json as a source: masks as pycocotools draws them, ids of any numbering, bad entries reported."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as reference

from fashionseg.data.coco_masks import decode_segmentation
from fashionseg.data.rle import mask_to_runs, parse_rle, runs_to_mask
from fashionseg.errors import UserError
from fashionseg.params import load_params
from fashionseg.prepare.decode import decode_folder
from fashionseg.sources.coco import coco_digest, write_kaggle_layout
from fashionseg.sources.coco_json import read_coco, read_split_coco
from fashionseg.taxonomy import Taxonomy, competition_taxonomy, load_taxonomy, read_taxonomy
from programs import run_python

HEIGHT, WIDTH = 40, 30
SQUARE = [[5, 4, 15, 4, 15, 14, 5, 14]]
RING = {"size": [HEIGHT, WIDTH], "counts": [HEIGHT, 10, HEIGHT * WIDTH - HEIGHT - 10]}


def annotation(number: int, image: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, **more}


def content() -> dict[str, Any]:
    """Three images, the last without annotations; categories 7, 3 and 90; two attributes."""
    size = {"height": HEIGHT, "width": WIDTH}
    return {
        "images": [
            {"id": 10, "file_name": "shop/a.jpg", **size},
            {"id": 4, "file_name": "street/a.jpg", **size},
            {"id": 5, "file_name": "c.png", **size},
        ],
        "categories": [
            {"id": 7, "name": "hat", "supercategory": "head"},
            {"id": 3, "name": "coat"},
            {"id": 90, "name": "shoe", "supercategory": "feet"},
        ],
        "attributes": [{"id": 120, "name": "striped"}, {"id": 20, "name": "long"}],
        "annotations": [
            annotation(1, 10, 90, SQUARE),
            annotation(2, 10, 3, RING, attribute_ids=[120, 20, 77]),
            annotation(3, 4, 7, SQUARE, iscrowd=0),
        ],
    }


def write(folder: Path, values: Any) -> Path:
    """The json, and the photos that `content` names, with one more that no json lists."""
    for name in ("shop/a.jpg", "street/a.jpg", "c.png", "new/d.jpg"):
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), len(name), np.uint8))
    path = folder / "instances.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def convert(folder: Path, values: Any) -> tuple[dict[str, int], list[list[str]], dict[str, Any]]:
    """Counts, rows of train.csv, and the report."""
    coco = read_coco(write(folder, values))
    raw = folder / "raw"
    raw.mkdir()
    counts = write_kaggle_layout(coco, folder / "photos", raw)
    with (raw / "train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return counts, rows, json.loads((raw / "coco.json").read_text(encoding="utf-8"))


def test_a_json_becomes_kaggles_layout(tmp_path: Path) -> None:
    counts, rows, report = convert(tmp_path, content())
    assert counts == {"train_photos": 3, "test_photos": 1, "objects": 3, "dropped": 0}
    raw = tmp_path / "raw"
    assert load_taxonomy(raw / "label_descriptions.json") == Taxonomy(
        ("coat", "hat", "shoe"), ("", "head", "feet"), ("long", "striped")
    )
    assert rows[0] == ["ImageId", "EncodedPixels", "Height", "Width", "ClassId"]
    assert [(row[0], *row[2:]) for row in rows[1:]] == [
        ("shop_a.jpg", "40", "30", "2"),
        ("shop_a.jpg", "40", "30", "0_0_1"),
        ("street_a.jpg", "40", "30", "1"),
    ]
    assert rows[2][1] == "41 10"  # the first ten pixels of the second column
    assert sorted(path.name for path in (raw / "train").iterdir()) == ["c.png", "shop_a.jpg", "street_a.jpg"]
    assert [path.name for path in (raw / "test").iterdir()] == ["new_d.jpg"]
    assert (raw / "train/street_a.jpg").read_bytes() == (tmp_path / "photos/street/a.jpg").read_bytes()
    assert report["categories"] == {"3": 0, "7": 1, "90": 2}


def test_fashionpedias_attributes_are_kept_on_every_category(tmp_path: Path) -> None:
    """The shape of `instances_attributes_train2020.json`: 46 categories, 294 attributes, also of garment parts."""
    names = competition_taxonomy()
    values = content()
    values["categories"] = [
        {"id": place, "name": name, "supercategory": group, "level": 2, "taxonomy_id": "obj"}
        for place, (name, group) in enumerate(zip(names.category_names, names.category_groups, strict=True))
    ]
    values["attributes"] = [
        {"id": 2 * place, "name": f"attribute {place}", "supercategory": "length", "level": 1}
        for place in range(294)
    ]
    values["annotations"] = [
        annotation(1, 10, 31, RING, attribute_ids=[586, 0]),
        annotation(2, 10, 6, SQUARE, attribute_ids=[]),
    ]
    _, rows, _ = convert(tmp_path, values)
    assert [row[4] for row in rows[1:]] == ["31_0_293", "6"]
    decode = load_params(Path(__file__).parents[2] / "params.yaml").decode
    counts = decode_folder(tmp_path / "raw", tmp_path / "decoded", decode)
    assert counts["instances_with_attributes"] == 1
    assert counts["instances"] == 2 and not counts.get("repaired")
    assert read_taxonomy(tmp_path / "decoded").num_attributes == 294


def test_names_that_meet_when_folders_go_stay_apart(tmp_path: Path) -> None:
    values = content()
    values["images"][2]["file_name"] = "shop_a.jpg"
    write(tmp_path, values)
    (tmp_path / "photos/shop_a.jpg").write_bytes(b"another photo")
    convert(tmp_path, values)
    assert (tmp_path / "raw/train/shop_a_2.jpg").read_bytes() == b"another photo"


def segmentations() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    mask = np.asfortranarray(cv2.blur(rng.random((HEIGHT, WIDTH)), (7, 7)) > 0.5, dtype=np.uint8)
    compressed = reference.encode(mask)
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=1 - flat[-1]))
    counts = np.diff([0, *edges]).tolist()
    return {
        "polygon": [rng.uniform(0, 30, 14).tolist()],
        "two polygons": [[1, 1, 20, 3, 9.5, 35.25], [10, 10, 29, 12, 28.5, 39, 11, 30]],
        "beyond the edge": [[-5, -5, 50, -5, 50, 50]],
        "compressed": {"size": [HEIGHT, WIDTH], "counts": compressed["counts"].decode("ascii")},
        "uncompressed": {"size": [HEIGHT, WIDTH], "counts": counts},
    }


@pytest.mark.parametrize("kind", segmentations())
def test_masks_are_those_of_pycocotools(kind: str) -> None:
    segmentation = segmentations()[kind]
    mask = decode_segmentation(segmentation, HEIGHT, WIDTH)
    if isinstance(segmentation, list):
        code = reference.merge(reference.frPyObjects(segmentation, HEIGHT, WIDTH))
    elif isinstance(segmentation["counts"], list):
        code = reference.frPyObjects(segmentation, HEIGHT, WIDTH)
    else:
        code = segmentation
    expected = reference.decode(code)
    assert mask.any()
    np.testing.assert_array_equal(mask, expected)


def test_a_mask_goes_through_train_csv_to_the_pixel(tmp_path: Path) -> None:
    values = content()
    code = segmentations()["compressed"]
    values["annotations"] = [annotation(1, 10, 3, code)]
    _, rows, _ = convert(tmp_path, values)
    runs = parse_rle(rows[1][1], HEIGHT, WIDTH)
    expected = reference.decode(code)
    np.testing.assert_array_equal(runs, mask_to_runs(expected))
    np.testing.assert_array_equal(runs_to_mask(runs, (HEIGHT, WIDTH)), expected)


BAD_ANNOTATIONS = {
    "a crowd region": (annotation(1, 10, 3, RING, iscrowd=1), "a crowd region"),
    "no segmentation": (annotation(1, 10, 3, []), "no segmentation"),
    "an unknown category": (annotation(1, 10, 8, SQUARE), "category_id: expected one of the file, got 8"),
    "an unknown image": (annotation(1, 11, 3, SQUARE), "image_id: expected one of the file, got 11"),
    "a polygon of two points": (annotation(1, 10, 3, [[1, 1, 5, 5]]), "expected polygons of three points"),
    "an odd polygon": (annotation(1, 10, 3, [[1, 1, 5, 5, 9, 9, 2]]), "expected pairs of finite numbers"),
    "text in a polygon": (annotation(1, 10, 3, [[1, 1, 5, 5, 9, "9"]]), "expected pairs of finite numbers"),
    "a polygon outside": (annotation(1, 10, 3, [[50, 50, 60, 50, 60, 60]]), "no pixel in its segmentation"),
    "another size": (
        annotation(1, 10, 3, {"size": [WIDTH, HEIGHT], "counts": [WIDTH * HEIGHT]}),
        "expected the size [40, 30] of the image, got [30, 40]",
    ),
    "short counts": (
        annotation(1, 10, 3, {"size": [HEIGHT, WIDTH], "counts": [5, 5]}),
        "expected counts of 1200 pixels, got 10",
    ),
    "no counts": (
        annotation(1, 10, 3, {"size": [HEIGHT, WIDTH]}),
        "expected counts as a list or text, got nothing",
    ),
    "cut counts": (
        annotation(1, 10, 3, {"size": [HEIGHT, WIDTH], "counts": "Q"}),
        "the text ends within one",
    ),
}


@pytest.mark.parametrize("case", BAD_ANNOTATIONS)
@pytest.mark.fault(
    table="instances",
    case="a COCO annotation that is a crowd region, has no usable mask, or names no category or image of the json",
    outcome="left out, listed in `data/raw/coco.json`",
)
def test_a_bad_annotation_is_left_out_and_reported(tmp_path: Path, case: str) -> None:
    bad, reason = BAD_ANNOTATIONS[case]
    values = content()
    values["annotations"].insert(1, {**bad, "id": 99})
    counts, rows, report = convert(tmp_path, values)
    assert (counts["objects"], counts["dropped"], len(rows)) == (3, 1, 4)
    (fault,) = report["dropped"]
    assert fault["what"] == "annotation 99"
    assert reason in fault["reason"]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ({"id": 8, "file_name": "e.jpg", "height": 9, "width": 9}, "no file 'e.jpg' in photos/"),
        ({"id": 8, "file_name": "../instances.json", "height": 9, "width": 9}, "no file '../instances.json'"),
        ({"id": 8, "file_name": "c.png", "height": 0, "width": 9}, "expected height and width in pixels"),
        (
            {"id": 8, "file_name": "c.png", "height": 10**6, "width": 10**6},
            "expected at most 500000000 pixels",
        ),
        ({"id": 10, "file_name": "c.png", "height": 9, "width": 9}, "expected different ids"),
        ({"id": 8, "height": 9, "width": 9}, "expected a file_name"),
    ],
)
def test_a_bad_image_is_left_out_and_reported(tmp_path: Path, image: dict[str, Any], reason: str) -> None:
    values = content()
    values["images"].append(image)
    counts, _, report = convert(tmp_path, values)
    assert counts["train_photos"] == 3
    assert reason in report["dropped"][0]["reason"]


def without(key: str) -> dict[str, Any]:
    values = content()
    del values[key]
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{", "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ([], "expected a mapping with images, annotations and categories, got list"),
        (without("images"), "images: expected a list as in COCO's instances, got nothing"),
        ({**content(), "annotations": {}}, "annotations: expected a list as in COCO's instances, got dict"),
        ({**content(), "categories": []}, "categories: expected 1 to 10000, got 0"),
        ({**content(), "categories": [{"id": 1}]}, "categories: expected entries with id and name"),
        (
            {**content(), "categories": [{"id": 1, "name": "a"}] * 2},
            "categories: expected different ids, got 1 twice",
        ),
        ({**content(), "images": []}, "expected the images of the json, found none"),
    ],
)
@pytest.mark.fault(
    table="labels-and-archives",
    case="a COCO json that is damaged, lacks a list, or names photos that are not in the folder",
    outcome="refused",
)
def test_a_bad_file_is_refused_in_a_line(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        convert(tmp_path, values)
    assert message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_names_that_occur_twice_get_their_id(tmp_path: Path) -> None:
    values = content()
    values["categories"].append({"id": 0, "name": "hat", "supercategory": "none"})
    convert(tmp_path, values)
    taxonomy = load_taxonomy(tmp_path / "raw/label_descriptions.json")
    assert taxonomy.category_names == ("hat (0)", "coat", "hat (7)", "shoe")


def test_the_digest_changes_with_a_photo_and_with_the_json(tmp_path: Path) -> None:
    path = write(tmp_path, content())
    photos = tmp_path / "photos"
    digests = [coco_digest(photos, [path]), coco_digest(photos, [path])]
    assert len(set(digests)) == 1
    (photos / "new/e.jpg").write_bytes(b"a photo")
    digests.append(coco_digest(photos, [path]))
    path.write_text(json.dumps(content() | {"info": {}}))
    digests.append(coco_digest(photos, [path]))
    assert len(set(digests)) == 3
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        coco_digest(tmp_path / "nowhere", [path])


def test_a_json_for_each_side_is_the_split(tmp_path: Path) -> None:
    """Both number their images and annotations from their own beginning."""
    training, validation = content(), content()
    training["images"], validation["images"] = (
        training["images"][:1],
        [
            {"id": 10, "file_name": "c.png", "height": HEIGHT, "width": WIDTH},
            {"id": 4, "file_name": "lost.png", "height": HEIGHT, "width": WIDTH},
        ],
    )
    training["annotations"], validation["annotations"] = (
        training["annotations"][:2],
        [annotation(1, 10, 7, SQUARE), annotation(2, 4, 7, SQUARE), annotation(3, 99, 7, SQUARE)],
    )
    paths = [tmp_path / "train.json", tmp_path / "validation.json"]
    for path, values in zip(paths, (training, validation), strict=True):
        write(tmp_path, values).rename(path)
    raw = tmp_path / "raw"
    raw.mkdir()
    counts = write_kaggle_layout(read_split_coco(paths), tmp_path / "photos", raw)
    assert counts == {"train_photos": 2, "test_photos": 2, "objects": 3, "dropped": 2}
    assert (raw / "validation.txt").read_text().split() == ["c.png"]
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    decode_folder(raw, tmp_path / "decoded", params.decode)
    main_of_split(tmp_path)
    assert (tmp_path / "splits/validation.txt").read_text().split() == ["c.png"]
    assert (tmp_path / "splits/train.txt").read_text().split() == ["shop_a.jpg"]
    validation["categories"].pop()
    paths[1].write_text(json.dumps(validation))
    with pytest.raises(UserError, match=r"validation.json: expected the categories and attributes of"):
        read_split_coco(paths)


def main_of_split(folder: Path) -> None:
    """The stage `split` on `decoded`."""
    stage = "fashionseg.stages.split"
    words = [
        "--decoded",
        "decoded",
        "--splits",
        "splits",
        "--params",
        Path(__file__).parents[2] / "params.yaml",
    ]
    run_python("-m", stage, *words, cwd=folder)
