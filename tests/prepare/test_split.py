"""The split: shares, strata, groups, and that only the seed changes it."""

import json

import numpy as np
import pytest

from fashionseg.console import exit_code
from fashionseg.data.splits import read_groups, read_split, write_groups
from fashionseg.data.tables import Instance, InstanceTable, write_photos
from fashionseg.errors import UserError
from fashionseg.prepare.near_duplicates import near_duplicate_groups
from fashionseg.prepare.split import split_photos, summarize
from fashionseg.stages import split as stage


@pytest.fixture(scope="module")
def photos():
    """400 photos with distinct hashes; category k is on about 60 %, 30 %, 10 %, 3 % of them."""
    rng = np.random.default_rng(5)
    ids = [f"{number:04d}.jpg" for number in range(400)]
    dhashes = rng.integers(0, 2**64, 400, np.uint64)
    presence = rng.random((400, 4)) < (0.6, 0.3, 0.1, 0.03)
    return ids, dhashes, presence


def divide(photos, fraction=0.2, bits=-1, seed=1, **folds):
    return split_photos(*photos, validation_fraction=fraction, near_duplicate_bits=bits, seed=seed, **folds)


def test_every_photo_is_on_one_side(photos):
    split = divide(photos)
    assert sorted(split.train + split.validation) == photos[0]
    assert list(split.train) == sorted(split.train)
    assert len(split.validation) == 80


def test_every_category_has_its_share_on_both_sides(photos):
    ids, _, presence = photos
    validation = np.isin(ids, divide(photos).validation)
    shares = presence[validation].sum(axis=0) / presence.sum(axis=0)
    np.testing.assert_allclose(shares, 0.2, atol=0.05)


def test_same_seed_same_split_and_another_seed_another(photos):
    assert divide(photos).validation == divide(photos).validation
    assert divide(photos).validation != divide(photos, seed=2).validation


def test_every_photo_is_validated_on_in_exactly_one_fold(photos):
    folds = [divide(photos, folds=5, fold=fold) for fold in range(5)]
    assert sorted(name for split in folds for name in split.validation) == photos[0]
    for split in folds:
        assert sorted(split.train + split.validation) == photos[0]
        assert 70 <= len(split.validation) <= 90


def test_every_fold_has_its_share_of_every_category(photos):
    ids, _, presence = photos
    for fold in range(5):
        validation = np.isin(ids, divide(photos, folds=5, fold=fold).validation)
        shares = presence[validation].sum(axis=0) / presence.sum(axis=0)
        np.testing.assert_allclose(shares, 0.2, atol=0.06)


def test_folds_keep_near_duplicate_photos_together_and_depend_on_the_seed_only(photos):
    ids, dhashes, presence = photos
    copies = ([*ids, *(f"copy-{name}" for name in ids)], np.tile(dhashes, 2), np.tile(presence, (2, 1)))
    validation = set(divide(copies, bits=4, folds=4, fold=2).validation)
    assert 180 <= len(validation) <= 220
    assert all((name in validation) == (f"copy-{name}" in validation) for name in ids)
    assert validation == set(divide(copies, fraction=0.5, bits=4, folds=4, fold=2).validation)
    assert validation != set(divide(copies, bits=4, folds=4, fold=2, seed=2).validation)


def test_more_folds_than_photos_are_refused(photos):
    few = tuple(part[:3] for part in photos)
    with pytest.raises(UserError, match=r"^split\.folds: .* got 5 folds of 3 different photos"):
        divide(few, folds=5)


def test_the_split_of_the_committed_seed_is_pinned(photos):
    """Typed in from the code before cross-validation existed: without folds no draw may move."""
    assert divide(photos, seed=2019).validation[:8] == (
        "0002.jpg",
        "0005.jpg",
        "0006.jpg",
        "0008.jpg",
        "0014.jpg",
        "0024.jpg",
        "0029.jpg",
        "0031.jpg",
    )


def test_order_of_the_photos_does_not_matter(photos):
    ids, dhashes, presence = photos
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = ([ids[index] for index in order], dhashes[order], presence[order])
    assert divide(shuffled).validation == divide(photos).validation


def test_groups_are_linked_by_small_distances():
    """0-1 differ in 1 bit, 1-3 in 2 bits (so 0 and 3 are linked through 1), 2 and 4 are far from all."""
    dhashes = np.array([0b0, 0b1, 0xFFFF, 0b111, 0xFFFF << 40], np.uint64)
    assert near_duplicate_groups(dhashes, 2).tolist() == [0, 0, 1, 0, 2]
    assert near_duplicate_groups(dhashes, 1).tolist() == [0, 0, 1, 2, 3]
    assert near_duplicate_groups(dhashes, 0).tolist() == [0, 1, 2, 3, 4]
    assert near_duplicate_groups(dhashes, 64).tolist() == [0] * 5
    assert near_duplicate_groups(np.array([7, 7], np.uint64), -1).tolist() == [0, 1]


def test_groups_across_blocks():
    """Every photo has a copy far away in the list."""
    dhashes = np.random.default_rng(0).integers(0, 2**64, 900, np.uint64)
    groups = near_duplicate_groups(np.concatenate((dhashes, dhashes ^ np.uint64(5))), 2)
    assert groups.tolist() == [*range(900), *range(900)]


def test_near_duplicate_photos_stay_on_one_side(photos):
    ids, dhashes, presence = photos
    copies = ([*ids, *(f"copy-{name}" for name in ids)], np.tile(dhashes, 2), np.tile(presence, (2, 1)))
    split = divide(copies, bits=4)
    validation = set(split.validation)
    assert 0.15 < len(validation) / 800 < 0.25
    assert all((name in validation) == (f"copy-{name}" in validation) for name in ids)
    assert any((name in validation) != (f"copy-{name}" in validation) for name in divide(copies).validation)


@pytest.mark.parametrize(("count", "fraction", "bits"), [(0, 0.2, -1), (1, 0.2, -1), (5, 0.2, 64)])
@pytest.mark.fault(table="instances", case="a side of the split without photos", outcome="refused")
def test_empty_side_is_refused(photos, count, fraction, bits):
    few = tuple(part[:count] for part in photos)
    with pytest.raises(UserError, match="split"):
        divide(few, fraction, bits)


@pytest.mark.fault(
    table="instances", case="a category without an example", outcome="has no share in split or AP"
)
def test_photos_without_instances_and_rare_categories_are_spread():
    presence = np.zeros((20, 3), bool)
    presence[0, 1] = True  # once in the whole set: it belongs where it can be learnt
    ids = [f"{number:02d}" for number in range(20)]
    split = divide((ids, np.arange(20, dtype=np.uint64), presence))
    assert len(split.validation) == 4
    assert "00" in split.train


def test_summary_counts_instances_by_hand(photos):
    split = divide(photos)
    held_out, trained = split.validation[0], split.train[0]
    summary = summarize(split, [held_out, trained, trained, held_out], np.array([3, 3, 3, 0]))
    assert summary["photos"] == {"train": 320, "validation": 80}
    assert summary["instances"] == {"train": 2, "validation": 2}
    assert summary["categories"] == [
        {"category": 0, "train": 0, "validation": 1},
        {"category": 3, "train": 2, "validation": 1},
    ]
    assert summary["near_duplicates"] == {"groups": 0, "photos": 0, "largest_group": 1}


def test_ids_of_a_missing_or_empty_file(tmp_path):
    with pytest.raises(UserError, match=r"train\.txt: no such file; run the stage split"):
        read_split(tmp_path)
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "validation.txt").write_text("\n")
    with pytest.raises(UserError, match=r"validation\.txt: expected image ids"):
        read_split(tmp_path)


def test_groups_of_near_identical_photos_are_read_as_they_were_written(tmp_path):
    write_groups(tmp_path / "groups.json", ["a", "b", "c", "d", "e"], np.array([0, 1, 0, 2, 1]))
    assert json.loads((tmp_path / "groups.json").read_text()) == [["a", "c"], ["b", "e"]]
    # only photos that are asked for count, a photo alone is a group
    assert read_groups(tmp_path, ["b", "c", "d", "e"]).tolist() == [0, 1, 2, 0]


def test_a_split_without_groups_has_a_group_for_each_photo(tmp_path):
    assert read_groups(tmp_path, ["a", "b", "c"]).tolist() == [0, 1, 2]


@pytest.mark.parametrize("text", ["", "7", "[1]", "{}x"])
def test_damaged_groups_are_named(tmp_path, text):
    (tmp_path / "groups.json").write_text(text)
    with pytest.raises(UserError, match=r"groups\.json: expected lists of image ids"):
        read_groups(tmp_path, ["a"])


def test_stage_splits_decoded_photos(photos, tmp_path, monkeypatch, capsys):
    """Through the tables of the stage decode: one instance a photo, categories 0 and 1 in turn."""
    decoded, splits = tmp_path / "decoded", tmp_path / "splits"
    decoded.mkdir()
    size = {"height": 8, "width": 8, "stored_height": 8, "stored_width": 8}
    instances = InstanceTable(decoded)
    rows = []
    for number, (image_id, dhash) in enumerate(zip(photos[0][:50], photos[1][:50], strict=True)):
        rows.append({"subset": "train", "image_id": image_id, **size, "record": number, "dhash": int(dhash)})
        instances.add(image_id, 0, Instance(number % 2, (), None, np.array([[0, 9]], np.int32)))
    instances.close()
    write_photos(decoded, rows)
    monkeypatch.setattr("sys.argv", ["split", "--decoded", str(decoded), "--splits", str(splits)])
    assert exit_code(stage.main) == 0
    assert "40 photos to train, 10 to validate" in capsys.readouterr().out
    train, validation = read_split(splits)
    assert (len(train), len(validation)) == (40, 10)
    assert sorted(train + validation) == photos[0][:50]
    assert json.loads((splits / "groups.json").read_text()) == []
    summary = json.loads((splits / "summary.json").read_text())
    assert summary["categories"] == [
        {"category": 0, "train": 20, "validation": 5},
        {"category": 1, "train": 20, "validation": 5},
    ]
