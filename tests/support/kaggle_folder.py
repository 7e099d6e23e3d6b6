"""A folder in Kaggle's layout that tests fill as they need, and decode."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import fashionseg
from fashionseg import params
from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.records import PhotoSource
from fashionseg.data.rle import format_rle, mask_to_runs, runs_to_mask
from fashionseg.data.tables import record_indices
from fashionseg.prepare.decode import decode_folder
from fashionseg.taxonomy import LABEL_DESCRIPTIONS

HEIGHT, WIDTH = 40, 30
SETTINGS = params.Decode(
    long_side=64,
    jpeg_quality=95,
    min_area=4,
    encoding=None,
    max_megapixels=1.0,
    photos_per_shard=2,
    workers=1,
)


def square(top=10, left=5, side=12, height=HEIGHT, width=WIDTH) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def text(mask: np.ndarray) -> str:
    return format_rle(mask_to_runs(mask))


class Folder:
    """A folder in Kaggle's layout that tests fill as they need."""

    def __init__(self, root: Path) -> None:
        self.raw, self.decoded = root / "raw", root / "decoded"
        for subset in ("train", "test"):
            (self.raw / subset).mkdir(parents=True)
        labels = Path(fashionseg.__file__).with_name(LABEL_DESCRIPTIONS)
        (self.raw / LABEL_DESCRIPTIONS).write_bytes(labels.read_bytes())
        self.lines = ["ImageId,EncodedPixels,Height,Width,ClassId"]
        self.photo("good.jpg")
        self.row("good.jpg")

    def photo(self, name, subset="train", mask=None, height=HEIGHT, width=WIDTH, **options) -> None:
        """A dark photo, bright where the mask is."""
        mask = square(height=height, width=width) if mask is None else mask
        image = Image.fromarray(np.where(mask[:, :, None], 220, 20).astype(np.uint8).repeat(3, axis=2))
        image.save(self.raw / subset / name, "JPEG", quality=95, **options)

    def row(self, name, rle=None, height=HEIGHT, width=WIDTH, class_id="23") -> None:
        self.lines.append(f"{name},{text(square()) if rle is None else rle},{height},{width},{class_id}")

    def decode(self, **changes) -> dict:
        (self.raw / "train.csv").write_text("\n".join(self.lines) + "\n")
        decode_folder(self.raw, self.decoded, replace(SETTINGS, **changes))
        return json.loads((self.decoded / "report.json").read_text())

    def record(self, image_id, subset="train"):
        return PhotoSource(self.decoded, subset, record_indices(self.decoded, subset, [image_id]))[0]

    def mask_and_photo_agree(self, image_id) -> bool:
        record = self.record(image_id)
        bright = decode_jpeg(record.jpeg)[:, :, 0] > 120
        mask = runs_to_mask(record.runs[0], (record.height, record.width))
        assert bright.shape == mask.shape
        return (bright == mask).mean() > 0.97


def faults(report, image_id=None):
    return [
        (fault["outcome"], fault["reason"])
        for fault in report["faults"]
        if image_id is None or fault.get("image_id") == image_id
    ]
