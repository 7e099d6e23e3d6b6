"""What is written is what the competition takes, and is the score that was promised."""

import csv

import numpy as np
import pytest

from fashionseg.data.rle import format_rle, parse_rle, runs_to_mask
from fashionseg.detections.instances import Thresholds
from fashionseg.detections.store import Detections
from fashionseg.errors import UserError
from fashionseg.metrics.competition import competition_scores, match_table
from fashionseg.metrics.outcomes import judge_photos
from fashionseg.submission.check import check_submission
from fashionseg.submission.score import score_submission
from fashionseg.submission.write import write_submission

THRESHOLDS = Thresholds(score=0.3, nms=0.6, mask=0.5, min_area=30)


def stored(photos) -> Detections:
    """The photos' detections as one table; photo k is called `k.jpg`."""
    detections = [detections for detections, _ in photos]
    return Detections.build(
        [f"{number}.jpg" for number in range(len(photos))],
        np.repeat(np.arange(len(photos)), [len(its) for its in detections]),
        np.concatenate([its.categories for its in detections]),
        np.concatenate([its.scores for its in detections]),
        np.concatenate([its.boxes_norm for its in detections]),
        np.concatenate([its.mask_probs for its in detections]),
    )


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_every_test_photo_has_a_row_and_without_objects_the_placeholder(photos, tmp_path):
    path = tmp_path / "submission.csv"
    names = [f"{number}.jpg" for number in range(len(photos))] + ["broken.jpg"]
    num_objects, num_empty = write_submission(stored(photos), THRESHOLDS, names, path)
    assert num_empty == 2
    rows = read(path)
    assert rows[0] == ["ImageId", "EncodedPixels", "ClassId"]
    assert list(dict.fromkeys(row[0] for row in rows[1:])) == sorted(names)
    for nothing in (
        "2.jpg",
        "3.jpg",
        "broken.jpg",
    ):  # no detections at all, and a photo that could not be read
        assert [row[1:] for row in rows if row[0] == nothing] == [["1 1", "23"]]
    assert len(rows) - 1 == num_objects + 3
    assert check_submission(path, names) == []


def test_no_pixel_belongs_to_two_objects_of_a_class(photos, tmp_path):
    path = tmp_path / "submission.csv"
    write_submission(stored(photos), THRESHOLDS, [f"{number}.jpg" for number in range(len(photos))], path)
    counts = {}
    for photo, pixels, class_id in read(path)[1:]:
        mask = runs_to_mask(parse_rle(pixels, 512, 512), (512, 512))
        key = photo, class_id
        counts[key] = counts.get(key, 0) + mask
    assert max(np.max(count) for count in counts.values()) == 1


def test_the_file_scores_as_reported(photos, tmp_path):
    """Through text, files and the command's own reader; truths at 512 x 512, so that nothing is resized."""
    with_truths = [photo for photo in photos if len(photo[1]) and len(photo[0])]
    path, truth = tmp_path / "submission.csv", tmp_path / "train.csv"
    names = [f"{number}.jpg" for number in range(len(with_truths))]
    write_submission(stored(with_truths), THRESHOLDS, names, path)
    lines = ["ImageId,EncodedPixels,Height,Width,ClassId"]
    for name, (_, truths) in zip(names, with_truths, strict=True):
        lines += [
            f"{name},{format_rle(runs)},512,512,{its}"
            for runs, its in zip(truths.runs, truths.class_ids, strict=True)
        ]
    truth.write_text("\n".join(lines) + "\n")
    outcomes = judge_photos(with_truths, [THRESHOLDS] * len(with_truths), THRESHOLDS)
    by_category = competition_scores(match_table([outcome.out_of_fold for outcome in outcomes]))
    by_class_id = competition_scores(match_table([outcome.out_of_fold_class_id for outcome in outcomes]))
    assert score_submission(truth, path, "category").scores == pytest.approx(by_category)
    assert score_submission(truth, path, "classid").scores == pytest.approx(by_class_id)
    assert by_class_id["pooled"] < by_category["pooled"]


def test_the_same_detections_give_the_same_bytes(photos, tmp_path):
    names = [f"{number}.jpg" for number in range(len(photos))]
    for file in ("first.csv", "second.csv"):
        write_submission(stored(photos), THRESHOLDS, names, tmp_path / file)
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()


def test_detections_of_other_photos_are_refused(photos, tmp_path):
    with pytest.raises(UserError, match=r"first '0\.jpg'"):
        write_submission(stored(photos[:1]), THRESHOLDS, ["other.jpg"], tmp_path / "submission.csv")
    assert not (tmp_path / "submission.csv").exists()
