"""COCO json from Kaggle's layout and from predictions, for CVAT, FiftyOne and other tools of the field.

Masks are compressed run-length codes of COCO at the photo's size, to the pixel those of the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fashionseg.data.rle import Runs, repair_rle, runs_area, runs_box, runs_to_mask
from fashionseg.errors import UserError
from fashionseg.parallel import map_photos
from fashionseg.prepare.annotations import parse_size, repair_class_id
from fashionseg.prepare.csv_index import Layout, Span, index_annotations, read_rows
from fashionseg.taxonomy import LABEL_DESCRIPTIONS, Taxonomy, load_taxonomy

Entry = dict[str, Any]


def kaggle_to_coco(folder: Path) -> tuple[Entry, list[str]]:
    """The annotations of a folder in Kaggle's layout, and the reason of each row that was left out.

    File names are those in `train/`. Ids of categories and attributes are as in `label_descriptions.json`.

    Raises:
        UserError: train.csv or label_descriptions.json is missing or unreadable.
    """
    taxonomy = load_taxonomy(folder / LABEL_DESCRIPTIONS)
    index = index_annotations(folder / "train.csv")
    names = sorted(index.photos)
    annotate = partial(_annotate, layout=index.layout, taxonomy=taxonomy)
    found = map_photos(annotate, [index.photos[name] for name in names], "masks")
    left_out = [str(fault) for fault in index.faults] + [
        reason for _, _, reasons in found for reason in reasons
    ]
    images: list[Entry] = []
    annotations: list[Entry] = []
    for name, (hw, entries, _) in zip(names, found, strict=True):
        if hw is None:
            continue
        images.append(_image(len(images), name, hw))
        for entry in entries:
            annotations.append({"id": len(annotations) + 1, "image_id": len(images) - 1, **entry})
    return {**_header(taxonomy), "images": images, "annotations": annotations}, left_out


def predictions_to_coco(content: Any, path: Path) -> Entry:
    """The objects of a `predictions.json` as annotations with a `score`.

    Args:
        content: of the file.
        path: named in messages.

    Raises:
        UserError: the file was not written by `fashionseg predict`.
    """
    images: list[Entry] = []
    annotations: list[Entry] = []
    names: dict[int, str] = {}
    try:
        for photo in content["photos"]:
            hw = (int(photo["height"]), int(photo["width"]))
            images.append(_image(len(images), Path(photo["file"]).name, hw))
            for found in photo["instances"]:
                names[int(found["category_id"])] = str(found["category"])
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": len(images) - 1,
                        **_object(int(found["category_id"]), repair_rle(found["rle"], *hw), hw),
                        "score": float(found["score"]),
                    }
                )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a file of `fashionseg predict`: {error!r}") from None
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in sorted(names.items())]
    return {"info": _INFO, "categories": categories, "images": images, "annotations": annotations}


_INFO = {"description": "written by fashionseg"}


def _header(taxonomy: Taxonomy) -> Entry:
    header = {"info": _INFO, **taxonomy.to_descriptions()}
    return header if taxonomy.num_attributes else {key: header[key] for key in ("info", "categories")}


def _image(number: int, name: str, hw: tuple[int, int]) -> Entry:
    return {"id": number, "file_name": name, "height": hw[0], "width": hw[1]}


def _annotate(
    spans: Sequence[Span], layout: Layout, taxonomy: Taxonomy
) -> tuple[tuple[int, int] | None, list[Entry], list[str]]:
    """Size, annotations without ids, and what was left out, of the rows of one photo."""
    size: tuple[int, int] | None = None
    entries, left_out = [], []
    for row in read_rows(layout, spans):
        try:
            hw = parse_size(row)
            if size not in (None, hw):
                raise ValueError(f"Height, Width: expected {size}, got {hw}")
            category, attributes, _ = repair_class_id(row.class_id, taxonomy)
            entry = _object(category, repair_rle(row.encoded_pixels, *hw), hw)
        except ValueError as error:
            left_out.append(f"row {row.line}: {error}")
            continue
        size = hw
        entries.append(entry | {"attribute_ids": list(attributes)} if taxonomy.num_attributes else entry)
    return size, entries, left_out


def _object(category: int, runs: Runs, hw: tuple[int, int]) -> Entry:
    """What COCO says of an object: its category, mask, area in pixels and box [x, y, width, height]."""
    from hotcoco import mask as coco_mask

    y1, x1, y2, x2 = runs_box(runs, hw[0])
    code = coco_mask.encode(np.asfortranarray(runs_to_mask(runs, hw), dtype=np.uint8))
    counts = code["counts"]
    return {
        "category_id": category,
        "segmentation": {
            "size": list(hw),
            "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
        },
        "area": runs_area(runs),
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "iscrowd": 0,
    }
