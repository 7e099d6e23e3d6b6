"""Batches: shapes, ground truth, order; neither workers nor resuming change a byte."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fashionseg import params
from fashionseg.data import letterbox as letterboxing
from fashionseg.data import loader
from fashionseg.data.jpeg import encode_jpeg
from fashionseg.data.letterbox import letterbox
from fashionseg.data.loader import TrainingBatches, inference_batches, validation_batches
from fashionseg.data.records import PhotoRecord, ShardWriter
from fashionseg.data.rle import mask_to_runs
from fashionseg.data.tables import Instance, InstanceTable, write_photos
from fashionseg.errors import UserError

pytestmark = pytest.mark.slow

SIDE, INSTANCES = 64, 3
NUM_PHOTOS = 11
IDS = [f"{number:02d}.jpg" for number in range(NUM_PHOTOS)]
NO_AUGMENT = params.Augment(
    flip_probability=0.0,
    shift_fraction=0.0,
    scale_range=(1.0, 1.0),
    random_crop=False,
    colour=0.0,
    jpeg_quality=None,
)
AUGMENT = replace(NO_AUGMENT, flip_probability=0.5, shift_fraction=0.1, scale_range=(0.8, 1.2))
ALL_AUGMENT = replace(AUGMENT, scale_range=(0.5, 2.0), random_crop=True, colour=0.5, jpeg_quality=(40, 95))
LOADER = params.Loader(workers=0, prefetch_batches=2)


def masks_of(number: int) -> list[np.ndarray]:
    """Photo 0 has no instance, photo 1 has six, the others two; photos are 64 x 48."""
    boxes = [(4 + number, 6, 30, 20 + number), (40, 10, 60, 40)]
    if number == 0:
        boxes = []
    if number == 1:
        boxes = [(8 * place, 2, 8 * place + 7, 30 + place) for place in range(6)]
    masks = []
    for top, left, bottom, right in boxes:
        mask = np.zeros((64, 48), bool)
        mask[top:bottom, left:right] = True
        masks.append(mask)
    return masks


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """Photos that are bright where a mask is, the same in both subsets."""
    folder = tmp_path_factory.mktemp("decoded")
    rows, table = [], InstanceTable(folder)
    for subset in ("train", "test"):
        writer = ShardWriter(folder, subset, per_shard=4)
        for number, image_id in enumerate(IDS):
            masks = masks_of(number)
            bright = np.any(masks, axis=0) if masks else np.zeros((64, 48), bool)
            pixels = np.where(bright[:, :, None], 220, 40 + number).astype(np.uint8).repeat(3, axis=2)
            record = PhotoRecord(
                image_id=image_id,
                jpeg=encode_jpeg(pixels, 95),
                height=64,
                width=48,
                categories=np.arange(len(masks), dtype=np.int16) + number,
                runs=tuple(mask_to_runs(mask) for mask in masks),
            )
            if subset == "train":
                for place, (category, runs) in enumerate(zip(record.categories, record.runs, strict=True)):
                    table.add(image_id, place, Instance(int(category), (), runs, runs))
            size = {"height": 64, "width": 48, "stored_height": 64, "stored_width": 48}
            rows.append(
                {"subset": subset, "image_id": image_id, **size, "record": writer.write(record), "dhash": 0}
            )
        writer.close()
    write_photos(folder, rows)
    table.close()
    return folder


@pytest.fixture(scope="module")
def sampling():
    return replace(params.load_params().sampling, max_gt_instances=INSTANCES)


def training(decoded, sampling, augment=AUGMENT, workers=0, batch_size=4, seed=1, start_epoch=0, ids=IDS):
    settings = replace(LOADER, workers=workers)
    return TrainingBatches(decoded, ids, SIDE, sampling, augment, settings, batch_size, seed, start_epoch)


def take(batches, count):
    iterator = iter(batches)
    taken = [next(iterator) for _ in range(count)]
    batches.close()
    return taken


def same(one, other) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
        for a, b in zip(one, other, strict=True)
    )


def photo_numbers(batch) -> list[int]:
    """Which photos a batch without augmentation shows: their background is 40 + number."""
    return [round(float(np.median(image[2:62, 48:54, 0]))) - 40 for image in batch["images"]]


def test_training_batch_has_the_documented_shapes(decoded, sampling):
    (batch,) = take(training(decoded, sampling), 1)
    shapes = {key: (value.dtype.name, value.shape) for key, value in batch.items()}
    assert shapes == {
        "images": ("uint8", (4, SIDE, SIDE, 3)),
        "gt_classes": ("int32", (4, INSTANCES)),
        "gt_boxes": ("float32", (4, INSTANCES, 4)),
        "gt_masks": ("uint8", (4, INSTANCES, 56, 56)),
        "sampling_seeds": ("uint32", (4,)),
        "photo_index": ("int32", (4,)),
    }


def test_ground_truth_of_one_photo_by_hand(decoded, sampling):
    """Photo 5 is 64 x 48 in a square of 64: 8 columns of padding; masks at rows 9-29, columns 6-24 and 40-59, 10-39."""
    (batch,) = list(validation_batches(decoded, [IDS[5]], SIDE, sampling, batch_size=1))
    assert batch["gt_classes"].tolist() == [[6, 7, 0]]  # categories 5 and 6
    assert batch["gt_boxes"][0].tolist() == [[9, 14, 30, 33], [40, 18, 60, 48], [0, 0, 0, 0]]
    assert batch["gt_masks"][0, :2].all()
    assert not batch["gt_masks"][0, 2].any()
    image = batch["images"][0]
    assert not image[:, :8].any()
    assert not image[:, 56:].any()
    assert image[9:30, 14:33].min() > 180
    assert image[1:7, 10:54].max() < 80


def test_boxes_and_masks_follow_the_augmented_photo(decoded, sampling):
    moved = 0
    for batch in take(training(decoded, sampling), 6):
        for image, classes, boxes, masks in zip(
            batch["images"], batch["gt_classes"], batch["gt_boxes"], batch["gt_masks"], strict=True
        ):
            if (classes > 0).sum() != 2:
                continue
            inside = np.zeros((SIDE, SIDE), bool)
            for y1, x1, y2, x2 in boxes[:2].astype(int):
                inside[y1:y2, x1:x2] = True
            bright = image[:, :, 0] > 130
            assert (inside & bright).sum() / (inside | bright).sum() > 0.9
            assert masks[:2].all()  # the masks are rectangles, so they fill their boxes
            moved += not np.array_equal(boxes[0, ::2], [0, 0])
    assert moved > 5


def test_training_and_inference_see_the_same_pixels(decoded, sampling):
    (seen,) = inference_batches(decoded, "train", IDS, SIDE, NUM_PHOTOS)
    for batch in take(training(decoded, sampling, NO_AUGMENT), 2):
        for number, image in zip(photo_numbers(batch), batch["images"], strict=True):
            np.testing.assert_array_equal(image, seen["images"][number])


def test_an_epoch_shows_each_photo_at_most_once_in_its_own_order(decoded, sampling):
    batches = training(decoded, sampling, NO_AUGMENT)
    assert batches.steps_per_epoch == 2
    shown = [photo_numbers(batch) for batch in take(batches, 6)]
    epochs = [shown[0] + shown[1], shown[2] + shown[3], shown[4] + shown[5]]
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != sorted(epochs[0])


def test_a_seed_gives_the_same_batches_and_another_seed_others(decoded, sampling):
    batches = take(training(decoded, sampling), 3)
    assert same(take(training(decoded, sampling), 3), batches)
    assert not same(take(training(decoded, sampling, seed=2), 3), batches)


def test_starting_at_an_epoch_gives_the_batches_from_there_on(decoded, sampling):
    batches = take(training(decoded, sampling), 6)
    assert same(take(training(decoded, sampling, start_epoch=2), 2), batches[4:])


def test_the_iterator_resumes_from_its_state(decoded, sampling):
    batches = training(decoded, sampling)
    iterator = iter(batches)
    for _ in range(3):
        next(iterator)
    state = batches.get_state()
    expected = take(batches, 2)
    again = training(decoded, sampling)
    again.set_state(state)
    assert same(take(again, 2), expected)


def test_worker_processes_change_nothing(decoded, sampling):
    assert same(take(training(decoded, sampling, workers=2), 5), take(training(decoded, sampling), 5))


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_crop_colour_jpeg_and_repeats_depend_on_seed_epoch_and_photo_alone(decoded, sampling, threshold):
    sampling = replace(sampling, repeat_threshold=threshold)
    batches = take(training(decoded, sampling, ALL_AUGMENT), 8)
    assert same(take(training(decoded, sampling, ALL_AUGMENT, workers=2), 8), batches)
    assert same(take(training(decoded, sampling, ALL_AUGMENT, start_epoch=3), 2), batches[6:])
    resumed = training(decoded, sampling, ALL_AUGMENT)
    iterator = iter(resumed)
    for _ in range(5):
        next(iterator)
    state = resumed.get_state()
    resumed.close()
    again = training(decoded, sampling, ALL_AUGMENT)
    again.set_state(state)
    assert same(take(again, 3), batches[5:])


def test_a_repeated_photo_is_augmented_and_sampled_anew(decoded, sampling):
    """Categories 1 to 6 are in up to three photos, 11 in the last photo alone; photo 0 has none."""
    sampling = replace(sampling, repeat_threshold=1.0)
    batches = training(decoded, sampling, ALL_AUGMENT)
    assert batches.steps_per_epoch == 2  # as without repeats
    shown = {}
    for batch in take(batches, 40):
        for photo, seed, image in zip(
            batch["photo_index"], batch["sampling_seeds"], batch["images"], strict=True
        ):
            shown.setdefault(int(photo), []).append((int(seed), image.tobytes()))
    assert len(shown[10]) > 1.5 * len(shown[0])
    assert all(len(set(examples)) == len(examples) for examples in shown.values())


@pytest.mark.fault(table="instances", case="photos without an instance", outcome="train the background class")
def test_photo_without_instances_is_all_padding(decoded, sampling):
    (batch,) = list(validation_batches(decoded, [IDS[0]], SIDE, sampling, batch_size=1))
    assert not any(batch[key].any() for key in ("gt_classes", "gt_boxes", "gt_masks"))
    assert batch["images"].any()


@pytest.mark.fault(
    table="instances",
    case="more instances than `sampling.max_gt_instances`",
    outcome="each epoch draws others",
)
def test_more_instances_than_the_padding_holds_are_drawn_from_all(decoded, sampling):
    """Photo 1 has six instances of categories 1-6 and G is 3."""
    only = training(decoded, sampling, NO_AUGMENT, batch_size=1, ids=[IDS[1]])
    drawn = [frozenset(batch["gt_classes"][0].tolist()) for batch in take(only, 12)]
    assert all(len(classes) == 3 and 0 not in classes for classes in drawn)
    assert frozenset.union(*drawn) == {2, 3, 4, 5, 6, 7}


def test_validation_shows_all_photos_in_order_and_fills_the_last_batch(decoded, sampling):
    batches = validation_batches(decoded, IDS, SIDE, sampling, batch_size=4)
    assert len(batches) == 3
    taken = list(batches)
    assert [batch["photo_index"].tolist() for batch in taken] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, -1]]
    assert not any(taken[2][key][3].any() for key in ("images", "gt_classes", "gt_boxes", "gt_masks"))
    assert {batch["images"].shape for batch in taken} == {(4, SIDE, SIDE, 3)}
    assert same(list(batches), taken)  # a second time


def test_inference_batches_have_windows_and_photo_indices(decoded):
    taken = list(inference_batches(decoded, "test", IDS[3:], SIDE, 5))
    assert [batch["photo_index"].tolist() for batch in taken] == [[0, 1, 2, 3, 4], [5, 6, 7, -1, -1]]
    assert taken[0]["windows"][0].tolist() == [0, 8, 64, 56]
    assert taken[1]["windows"][4].tolist() == [0, 0, 64, 64]
    assert taken[0]["windows"].dtype == np.float32
    assert photo_numbers(taken[0]) == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("height", "width", "window"),
    [
        (64, 64, (0, 0, 64, 64)),
        (128, 64, (0, 16, 64, 48)),
        (30, 100, (22, 0, 41, 64)),  # 30 * 64 / 100 = 19.2 rows, 45 to spare, 22 of them above
        (16, 8, (0, 16, 64, 48)),  # enlarged
        (6000, 1, (0, 31, 64, 32)),
    ],
)
def test_letterbox_fits_and_centres(height, width, window):
    square, found = letterbox(np.full((height, width, 3), 200, np.uint8), 64)
    assert found == window
    y1, x1, y2, x2 = window
    assert (square[y1:y2, x1:x2] == 200).all()
    assert square.astype(int).sum() == 200 * 3 * (y2 - y1) * (x2 - x1)


def test_fewer_photos_than_a_batch_and_unknown_photos_are_refused(decoded, sampling):
    with pytest.raises(UserError, match="batch size 12 exceeds the 11 training photos"):
        training(decoded, sampling, batch_size=12)
    with pytest.raises(UserError, match=r"no train photo 'x\.jpg'"):
        training(decoded, sampling, ids=[*IDS, "x.jpg"])


def test_worker_processes_import_no_tensorflow():
    code = "import sys, fashionseg.data.loader, imgaug; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_photo_is_resized_once(decoded, sampling, monkeypatch):
    """64 x 48 in a square of 32; augmented or not."""
    resized = []
    shrink = letterboxing.shrink
    monkeypatch.setattr(letterboxing, "shrink", lambda *args: (resized.append(args[1]), shrink(*args))[1])
    list(validation_batches(decoded, [IDS[5]], 32, sampling, batch_size=1))
    assert resized == [(32, 24)]
    list(inference_batches(decoded, "train", [IDS[5]], 32, 1))
    assert resized == [(32, 24)] * 2


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (8, 7), (40, 16)])
def test_auto_leaves_a_core_to_the_training(monkeypatch, capsys, cores, workers):
    monkeypatch.setattr(loader.os, "sched_getaffinity", lambda _: set(range(cores)))
    assert loader.num_workers(replace(LOADER, workers="auto")) == workers
    assert capsys.readouterr().out == f"loader.workers: auto, here {workers}\n"
    assert loader.num_workers(replace(LOADER, workers=3)) == 3
    assert capsys.readouterr().out == ""


def test_auto_means_worker_processes_wherever_batches_are_made(decoded, sampling, monkeypatch):
    seen = []
    monkeypatch.setattr(loader, "_iterate", lambda dataset, workers, prefetch: seen.append(workers))
    monkeypatch.setattr(loader.os, "sched_getaffinity", lambda _: {0, 1, 2})
    training(decoded, sampling, workers="auto")
    assert seen == [2]
