"""From Kaggle's folder to records and tables: what is kept, dropped, repaired or refused, each with its reason."""

import numpy as np
import pytest
from PIL import Image

from fashionseg.data.jpeg import decode_jpeg
from fashionseg.data.rle import runs_to_mask
from fashionseg.data.tables import read_instances, read_photos
from fashionseg.errors import UserError
from fashionseg.prepare.decode import decode_folder
from fashionseg.taxonomy import LABEL_DESCRIPTIONS
from kaggle_folder import HEIGHT, SETTINGS, WIDTH, Folder, faults, square, text


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_masks_boxes_and_attributes_are_kept(folder):
    folder.photo("a.jpg")
    folder.row("a.jpg", class_id="10_3_20")
    folder.row("a.jpg", text(square(0, 0, 5)), class_id="31")
    folder.photo("t.jpg", "test", height=50, width=100)
    report = folder.decode()
    assert report["faults"] == []
    assert report["counts"] == {
        "rows": 3,
        "train_photos": 2,
        "test_photos": 1,
        "instances": 3,
        "instances_in_training": 3,
        "instances_with_attributes": 1,
    }
    instances = read_instances(folder.decoded)
    assert instances["image_id"].tolist() == ["a.jpg", "a.jpg", "good.jpg"]
    assert instances["class_id"].tolist() == ["10_3_20", "31", "23"]
    assert instances["attributes"].map(list).tolist() == [[3, 20], [], []]
    # Row 10 of 40 becomes 10 * 512 / 40 = 128; column 5 of 30 becomes 5 * 512 / 30 = 85.3, the first pixel at 86.
    assert instances.loc[0, ["y1", "x1", "y2", "x2"]].tolist() == [128, 86, 282, 291]
    assert instances.loc[0, "area_512"] == (282 - 128) * (291 - 86)
    mask = runs_to_mask(np.frombuffer(instances.loc[0, "runs_512"], "<i4").reshape(-1, 2), (512, 512))
    assert mask.sum() == instances.loc[0, "area_512"]
    record = folder.record("a.jpg")
    assert (record.height, record.width) == (HEIGHT, WIDTH)  # never enlarged
    assert record.categories.tolist() == [10, 31]
    assert folder.mask_and_photo_agree("a.jpg")
    photos = read_photos(folder.decoded, "test")
    assert photos[["image_id", "height", "width", "stored_height", "stored_width"]].values.tolist() == [
        ["t.jpg", 50, 100, 32, 64]
    ]
    assert folder.record("t.jpg", "test").runs == ()


def test_large_photo_and_its_masks_shrink_together(folder):
    mask = square(100, 60, 150, 400, 300)
    folder.photo("a.jpg", mask=mask)
    folder.row("a.jpg", text(mask), 400, 300)
    assert faults(folder.decode()) == []
    record = folder.record("a.jpg")
    assert (record.height, record.width) == (64, 48)
    assert folder.mask_and_photo_agree("a.jpg")


def test_rows_that_are_not_contiguous_reach_one_photo(folder):
    folder.photo("a.jpg")
    folder.row("a.jpg")
    folder.row("good.jpg", text(square(0, 0, 6)), class_id="24")
    folder.row("a.jpg", text(square(0, 0, 6)), class_id="24")
    assert faults(folder.decode()) == []
    assert read_instances(folder.decoded)["image_id"].value_counts().to_dict() == {"good.jpg": 2, "a.jpg": 2}


@pytest.mark.parametrize(
    ("changes", "outcome", "reason"),
    [
        ({"rle": ""}, "dropped", "at least one run"),
        ({"rle": "1 2 3"}, "dropped", "got 3 numbers"),
        ({"rle": "0 2"}, "dropped", "at least 1, got 0"),
        ({"rle": "5 0"}, "dropped", "at least 1, got 0"),
        ({"rle": "-5 2"}, "dropped", "got '-'"),
        ({"rle": "5 x"}, "dropped", "got 'x'"),
        ({"rle": "1201 1"}, "dropped", "within 40 x 30 = 1200 pixels, got 1201 1"),
        ({"rle": "100 20 1 20"}, "repaired", "ascending runs without overlap"),
        ({"rle": "1 20 10 20"}, "repaired", "ascending runs without overlap"),
        ({"rle": "1 3"}, "scoring only", "3 pixels at the stored size, below 4"),
        ({"height": 41}, "dropped", "expected 40 x 30, got 41 x 30"),
        ({"height": ""}, "dropped", "Height: expected a whole number of at least 1, got ''"),
        ({"width": 0}, "dropped", "Width: expected a whole number of at least 1, got '0'"),
        ({"height": 10**9, "width": 10**9}, "dropped", "Height: expected at most 1000000, got '1000000000'"),
        ({"class_id": "46"}, "dropped", "category below 46"),
        ({"class_id": "x"}, "dropped", "ClassId: expected numbers"),
        ({"class_id": "10_92"}, "repaired", "attributes below 92"),
        ({"class_id": "10_3_3"}, "repaired", "without repeats"),
        ({"class_id": "24_3"}, "repaired", "category 24 has no attributes"),
    ],
)
@pytest.mark.fault(
    table="csv",
    case="run-length text: odd count, empty, zero, negative, not numbers, beyond the photo",
    outcome="row dropped",
)
@pytest.mark.fault(
    table="csv", case="`Height` or `Width` missing, zero, wrong in one row, 10^9", outcome="row dropped"
)
def test_bad_row_is_reported_and_its_photo_stays(folder, changes, outcome, reason):
    folder.row("good.jpg", text(square(0, 0, 5)), class_id="31")
    folder.row("good.jpg", **({"rle": text(square(20, 2, 6)), "class_id": "24"} | changes))
    report = folder.decode()
    (fault,) = report["faults"]
    assert (fault["file"], fault["row"], fault["image_id"], fault["outcome"]) == (
        "train.csv",
        4,
        "good.jpg",
        outcome,
    )
    assert reason in fault["reason"]
    assert len(read_instances(folder.decoded)) == (2 if outcome == "dropped" else 3)
    assert len(folder.record("good.jpg").runs) == (3 if outcome == "repaired" else 2)


def test_tiny_instance_is_scored_but_not_trained_on(folder):
    folder.row("good.jpg", "1 3", class_id="34")
    folder.decode()
    instances = read_instances(folder.decoded)
    assert instances["in_training"].tolist() == [True, False]
    assert instances["area_512"].min() > 0
    assert folder.record("good.jpg").categories.tolist() == [23]


@pytest.mark.fault(table="csv", case="the same row twice", outcome="the second is dropped")
def test_duplicate_row_is_dropped_but_the_same_mask_of_another_class_stays(folder):
    folder.row("good.jpg")
    folder.row("good.jpg", class_id="24")
    assert faults(folder.decode()) == [("dropped", "the same mask and class as row 2")]
    assert read_instances(folder.decoded)["category"].tolist() == [23, 24]


@pytest.mark.parametrize(
    ("image_id", "reason"),
    [
        ("missing.jpg", "expected a file of train/, got 'missing.jpg' (1 row)"),
        ("GOOD.jpg", "expected a file of train/, got 'GOOD.jpg'"),
        ("../../x.jpg", "expected a plain file name"),
        ("../train/good.jpg", "expected a plain file name"),
        ("/etc/passwd", "expected a plain file name"),
        ("..\\x.jpg", "expected a plain file name"),
        (".", "expected a"),
    ],
)
@pytest.mark.fault(
    table="csv",
    case="`ImageId` that contains a path, differs in capitals, or has no file",
    outcome="row dropped; never used as a path",
)
def test_image_id_without_a_photo_is_dropped(folder, image_id, reason):
    folder.row(image_id)
    ((outcome, given),) = faults(folder.decode())
    assert outcome == "dropped"
    assert reason in given
    assert read_photos(folder.decoded, "train")["image_id"].tolist() == ["good.jpg"]


@pytest.mark.fault(
    table="photos",
    case="a photo without rows; a folder or a broken link in place of a photo",
    outcome="dropped",
)
def test_photo_without_rows_is_dropped(folder):
    folder.photo("a.jpg")
    assert faults(folder.decode()) == [("dropped", "no row in train.csv")]


def test_photo_with_only_bad_rows_is_dropped_and_no_negative_example(folder):
    folder.photo("a.jpg")
    folder.row("a.jpg", "0 0")
    report = folder.decode()
    assert faults(report, "a.jpg")[-1] == ("dropped", "none of its rows could be used")
    assert read_photos(folder.decoded, "train")["image_id"].tolist() == ["good.jpg"]


@pytest.mark.fault(
    table="csv", case="`Height` or `Width` wrong in all rows of a photo", outcome="photo dropped"
)
def test_photo_of_another_size_than_the_csv_is_dropped(folder):
    folder.photo("a.jpg", height=50, width=30)
    folder.row("a.jpg")
    assert faults(folder.decode()) == [
        ("dropped", "Height, Width: expected the photo's 50 x 30, got 40 x 30 (1 row)")
    ]


def leaning() -> np.ndarray:
    """A mask that no turn or mirror leaves as it is."""
    mask = square(10, 5, 12)
    mask[30:34, 3:27] = True
    return mask


def test_photo_turned_by_90_degrees_gets_its_masks_turned(folder):
    """The two known photos: masks and sizes are right for each other; transpose and flip bring them on the photo."""
    folder.photo("a.jpg", mask=leaning().T[::-1])
    folder.row("a.jpg", text(leaning()))
    assert faults(folder.decode()) == [("repaired", "masks drawn on the photo turned by 90 degrees")]
    assert (folder.record("a.jpg").height, folder.record("a.jpg").width) == (WIDTH, HEIGHT)
    assert folder.mask_and_photo_agree("a.jpg")


@pytest.mark.fault(
    table="csv",
    case="`Height` and `Width` swapped; masks drawn on a rotated photo",
    outcome="repaired: the orientation in which the masks are smooth wins",
)
def test_exchanged_height_and_width_are_exchanged_back(folder):
    folder.photo("a.jpg", mask=leaning())
    folder.row("a.jpg", text(leaning()), height=WIDTH, width=HEIGHT)
    assert faults(folder.decode()) == [("repaired", "Height and Width exchanged")]
    assert folder.mask_and_photo_agree("a.jpg")


@pytest.mark.parametrize("csv_is_upright", [True, False])
@pytest.mark.fault(table="photos", case="EXIF orientation", outcome="upright, or as the csv says")
def test_exif_rotated_photo_follows_the_csv(folder, csv_is_upright):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise
    stored = leaning()
    folder.photo("a.jpg", mask=stored, exif=exif)
    mask = np.rot90(stored, -1) if csv_is_upright else stored
    folder.row("a.jpg", text(mask), *mask.shape)
    report = folder.decode()
    assert len(report["faults"]) == (not csv_is_upright)
    record = folder.record("a.jpg")
    assert (record.height, record.width) == mask.shape
    assert folder.mask_and_photo_agree("a.jpg")


@pytest.mark.fault(table="photos", case="CMYK, grayscale", outcome="converted to RGB, repaired")
def test_grayscale_and_cmyk_are_made_rgb(folder):
    for name, mode in (("a.jpg", "L"), ("b.jpg", "CMYK")):
        Image.fromarray(np.where(square(), 220, 20).astype(np.uint8)).convert(mode).save(
            folder.raw / "train" / name
        )
        folder.row(name)
    assert faults(folder.decode()) == [("repaired", "grayscale made RGB"), ("repaired", "CMYK made RGB")]
    assert folder.mask_and_photo_agree("a.jpg")
    assert folder.mask_and_photo_agree("b.jpg")


@pytest.mark.fault(
    table="photos",
    case="truncated, empty, or not an image",
    outcome="training: dropped; test: the readable part, else black, repaired",
)
def test_damaged_train_photo_is_dropped_and_damaged_test_photo_stands_in(folder):
    folder.photo("cut.jpg", height=400, width=300)
    whole = (folder.raw / "train" / "cut.jpg").read_bytes()
    damaged = {"cut.jpg": whole[: len(whole) // 2], "empty.jpg": b"", "text.jpg": b"no photo"}
    for name, data in damaged.items():
        (folder.raw / "train" / name).write_bytes(data)
        (folder.raw / "test" / name).write_bytes(data)
        folder.row(name, height=400, width=300)
    report = folder.decode()
    assert [outcome for outcome, _ in faults(report)] == ["dropped"] * 3 + ["repaired"] * 3
    assert read_photos(folder.decoded, "train")["image_id"].tolist() == ["good.jpg"]
    test_photos = read_photos(folder.decoded, "test")
    assert test_photos["image_id"].tolist() == sorted(damaged)  # a submission has to name every test photo
    assert test_photos[["height", "width"]].values.tolist() == [[400, 300], [64, 64], [64, 64]]
    assert not decode_jpeg(folder.record("text.jpg", "test").jpeg).any()


def test_photo_above_the_limit_is_refused_without_decoding(folder):
    folder.photo("a.jpg", height=1100, width=1000)
    folder.row("a.jpg", height=1100, width=1000)
    ((outcome, reason),) = faults(folder.decode())
    assert outcome == "dropped"
    assert "at most 1 megapixels, got 1000 x 1100" in reason


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (lambda raw: (raw / "train.csv").unlink(), "train.csv: no such file"),
        (lambda raw: (raw / "train.csv").write_text("a,b\n"), "missing column ImageId"),
        (lambda raw: (raw / LABEL_DESCRIPTIONS).unlink(), "label_descriptions.json: no such file"),
        (lambda raw: (raw / LABEL_DESCRIPTIONS).write_text('{"categories": []}'), "not a label description"),
        (lambda raw: (raw / "train" / "good.jpg").unlink(), "expected photos with usable rows"),
        (
            lambda raw: [(raw / "train" / "good.jpg").unlink(), (raw / "train").rmdir()],
            "train: no such folder",
        ),
    ],
)
@pytest.mark.fault(
    table="labels-and-archives", case="`label_descriptions.json` missing or not labels", outcome="refused"
)
def test_a_folder_without_usable_photos_is_refused_and_leaves_no_output(folder, breakage, message):
    (folder.raw / "train.csv").write_text("\n".join(folder.lines) + "\n")
    breakage(folder.raw)
    with pytest.raises(UserError, match=message):
        decode_folder(folder.raw, folder.decoded, SETTINGS)
    assert list(folder.decoded.parent.iterdir()) == [folder.raw]
