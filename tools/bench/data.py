"""The stage `decode`: masks, photos, and memory with a long csv."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fashionseg.data.jpeg import encode_jpeg
from fashionseg.data.rle import parse_rle, resize_runs, runs_to_mask
from fashionseg.parallel import available_cores
from fashionseg.params import changed
from fashionseg.prepare.csv_index import index_annotations
from fashionseg.prepare.decode import decode_folder
from fashionseg.prepare.photo_decoder import PhotoDecoder, Task
from fashionseg.taxonomy import competition_taxonomy
from tools.bench.inputs import MASKS_PER_PHOTO, PHOTO_HW, make_photo, make_rles
from tools.bench.rows import Bench, Row
from tools.bench.timing import in_turns, spread

TRAINING_SIDE = 512
_CSV_ROWS = 330_000
_HEADER = "ImageId,EncodedPixels,Height,Width,ClassId\n"
_MEGAPIXELS = f"{PHOTO_HW[0] * PHOTO_HW[1] / 1e6:.1f} Mpx"


def measure_masks(bench: Bench) -> list[Row]:
    """Run-length text to an array at training resolution, compared with the usual way.

    Raises:
        AssertionError: the two masks differ in a pixel.
    """
    texts = make_rles(np.random.default_rng(1), bench.count(140, 4), PHOTO_HW)
    side = (TRAINING_SIDE, TRAINING_SIDE)
    for text in texts:
        assert np.array_equal(decode_mask(text, PHOTO_HW, side), decode_mask_usual(text, PHOTO_HW, side)), (
            "masks differ"
        )
    seconds = in_turns(
        {
            "ours": lambda: [decode_mask(text, PHOTO_HW, side) for text in texts],
            "usual": lambda: [decode_mask_usual(text, PHOTO_HW, side) for text in texts],
        },
        bench.repeats,
        clock=time.process_time,  # one thread's work, independent of other load
    )
    each = 1000 / len(texts)
    on = f"{_MEGAPIXELS} -> {TRAINING_SIDE} px, {np.mean([text.count(' ') // 2 + 1 for text in texts]):.0f} runs"
    ours, usual = min(seconds["ours"]), min(seconds["usual"])
    return [
        Row("decode masks", on, ours * each, "ms of a core", 0.4, note=spread(seconds["ours"], each, "ms")),
        Row(
            "decode masks, against the usual way",
            on,
            usual / ours,
            "x",
            5.0,
            lower_is_better=False,
            note=f"full-size array, Fortran order, cv2 resize: {usual * each:.2f} ms; {len(texts)} masks identical",
        ),
    ]


def decode_mask(text: str, hw: tuple[int, int], to_hw: tuple[int, int]) -> np.ndarray:
    """bool [h, w]: as the stage does it, and then to an array, which the stage does not need."""
    return runs_to_mask(resize_runs(parse_rle(text, *hw), hw, to_hw, centre=False), to_hw)


def decode_mask_usual(text: str, hw: tuple[int, int], to_hw: tuple[int, int]) -> np.ndarray:
    """bool [h, w]: as public notebooks for the competition do it."""
    numbers = np.array(text.split(), dtype=np.int64)
    flat = np.zeros(hw[0] * hw[1], np.uint8)
    for start, length in zip(numbers[0::2] - 1, numbers[1::2], strict=True):
        flat[start : start + length] = 1
    mask = flat.reshape(hw, order="F")
    return cv2.resize(mask, to_hw[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)


def measure_photos(bench: Bench) -> list[Row]:
    """Read a JPEG, shrink it to 1024 px and encode it: in one process, and in the stage with one process per core."""
    raw = _write_raw(bench.work / "raw", bench.count(80, 2))
    settings = changed(bench.params.decode, long_side=1024)
    index = index_annotations(raw / "train.csv")
    decoder = PhotoDecoder(raw, index.layout, competition_taxonomy(), settings)
    names = sorted(path.name for path in (raw / "test").iterdir())
    few = names[:8]
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        seconds = in_turns(
            {
                "ours": lambda: [decoder(Task("test", name)) for name in few],
                "whole": lambda: [_decode_photo_usual(raw / "test" / name) for name in few],
            },
            bench.repeats,
            clock=time.process_time,
        )
    finally:
        cv2.setNumThreads(before)
    each = 1000 / len(few)
    ours, whole = min(seconds["ours"]), min(seconds["whole"])
    megabytes = (raw / "test" / few[0]).stat().st_size / 1e6
    on = f"{_MEGAPIXELS} JPEG of {megabytes:.1f} MB -> 1024 px"
    cores = available_cores()
    stage = partial(decode_folder, raw, bench.work / "decoded")
    alone = in_turns(
        {
            "one": lambda: stage(changed(settings, workers=1)),
            "all": lambda: stage(changed(settings, workers=cores)),
        },
        1,
    )
    rate = len(names) / alone["all"][0]
    return [
        Row(
            "decode photos",
            on,
            ours * each,
            "ms of a core",
            20.0,
            note=f"{spread(seconds['ours'], each, 'ms')}; decoded whole, then shrunk: {whole * each:.1f} ms",
        ),
        Row(
            "decode photos, the stage",
            f"{len(names)} photos, {cores} processes",
            rate,
            "photos/s",
            note=f"{alone['one'][0] / alone['all'][0]:.2f} x one process, start of processes included",
        ),
    ]


def _decode_photo_usual(path: Path) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    scale = 1024 / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def _write_raw(folder: Path, num_test: int) -> Path:
    """Kaggle's layout: one train photo and `num_test` test photos, all hard links to one file."""
    rng = np.random.default_rng(2)
    for subset in ("train", "test"):
        (folder / subset).mkdir(parents=True)
    (folder / "train" / "a.jpg").write_bytes(encode_jpeg(make_photo(rng, (64, 64)), 90))
    (folder / "train.csv").write_text(f"{_HEADER}a.jpg,1 200,64,64,23\n")
    _write_labels(folder)
    first = folder / "test" / "00000.jpg"
    first.write_bytes(encode_jpeg(make_photo(rng, PHOTO_HW), 90))
    for number in range(1, num_test):
        (folder / "test" / f"{number:05d}.jpg").hardlink_to(first)
    return folder


def _write_labels(folder: Path) -> None:
    import fashionseg

    source = Path(fashionseg.__file__).parent / "label_descriptions.json"
    (folder / "label_descriptions.json").write_bytes(source.read_bytes())


def measure_memory(bench: Bench) -> list[Row]:
    """Peak memory of the stage on a csv as long as Kaggle's.

    Photos are tiny, and most have no file unless the run is a full one: their rows are still read and reported.
    """
    num_photos = bench.count(_CSV_ROWS // MASKS_PER_PHOTO, 4)
    num_files = num_photos if bench.full else bench.count(2000, 2)
    raw = bench.work / "raw-long"
    for subset in ("train", "test"):
        (raw / subset).mkdir(parents=True)
    _write_labels(raw)
    rng = np.random.default_rng(3)
    hw = (96, 64)
    tiny = encode_jpeg(make_photo(rng, hw), 90)
    texts = [f"{start} 40" for start in range(1, MASKS_PER_PHOTO + 1)]
    with (raw / "train.csv").open("w", encoding="ascii") as csv:
        csv.write(_HEADER)
        for number in range(num_photos):
            csv.writelines(
                f"{number:05d}.jpg,{text},{hw[0]},{hw[1]},{k % 46}\n" for k, text in enumerate(texts)
            )
            if number < num_files:
                (raw / "train" / f"{number:05d}.jpg").write_bytes(tiny)
    code = (
        "import json, resource, sys\nfrom pathlib import Path\nfrom fashionseg.prepare.decode import decode_folder\n"
        "from fashionseg.parallel import available_cores\nfrom fashionseg.params import load_params\n"
        "if __name__ == '__main__':\n"
        "    decode_folder(Path(sys.argv[1]), Path(sys.argv[2]), load_params(Path(sys.argv[3])).decode)\n"
        "    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
        "    print(json.dumps((own + available_cores() * child) / 2**20))\n"
    )
    script = bench.work / "decode_long.py"
    script.write_text(code)
    command = [sys.executable, str(script), str(raw), str(bench.work / "decoded-long"), "params.yaml"]
    start = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    gigabytes = float(json.loads(ended.stdout.splitlines()[-1]))
    return [
        Row(
            "decode, memory",
            f"csv of {num_photos * MASKS_PER_PHOTO:,} rows on {num_photos:,} photos, {num_files:,} of them there",
            gigabytes,
            "GiB",
            2.0 * 1e9 / 2**30,
            note=f"sum of all processes' peaks; {time.perf_counter() - start:.0f} s",
        )
    ]
