"""Records and their shards: what is written comes back, one photo at a time."""

import pickle

import numpy as np
import pytest

from fashionseg.data.records import PhotoRecord, PhotoSource, ShardWriter, shard_paths
from fashionseg.errors import UserError


def record(number: int, num_instances: int = 2) -> PhotoRecord:
    return PhotoRecord(
        image_id=f"{number}.jpg",
        jpeg=bytes([number]) * 100,
        height=40,
        width=30,
        categories=np.arange(num_instances, dtype=np.int16),
        runs=tuple(np.array([[number, 2], [number + 5, 1]], np.int32) for _ in range(num_instances)),
    )


def same(one: PhotoRecord, other: PhotoRecord) -> bool:
    return one.to_bytes() == other.to_bytes()


@pytest.mark.parametrize("num_instances", [0, 1, 3])
def test_record_and_bytes_are_inverse(num_instances):
    again = PhotoRecord.from_bytes(record(7, num_instances).to_bytes())
    assert same(again, record(7, num_instances))
    assert again.categories.dtype == np.int16
    assert len(again.runs) == num_instances
    assert all(runs.dtype == np.int32 and runs.tolist() == [[7, 2], [12, 1]] for runs in again.runs)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x80", b"\xc1", record(1).to_bytes()[:50]])
def test_other_bytes_are_no_record(data):
    with pytest.raises(ValueError, match="expected a photo record"):
        PhotoRecord.from_bytes(data)


def test_shards_hold_the_records_in_order_and_any_choice_can_be_read(tmp_path):
    writer = ShardWriter(tmp_path, "train", per_shard=2)
    assert [writer.write(record(number)) for number in range(5)] == [0, 1, 2, 3, 4]
    writer.close()
    assert [path.name for path in shard_paths(tmp_path, "train")] == [
        f"train-0000{number}-of-00003.arrayrecord" for number in range(3)
    ]
    source = PhotoSource(tmp_path, "train", [4, 0, 3])
    assert len(source) == 3
    assert [source[index].image_id for index in range(3)] == ["4.jpg", "0.jpg", "3.jpg"]
    assert same(source[0], record(4))
    sent = pickle.loads(pickle.dumps(source))  # as to a worker process
    assert same(sent[2], record(3))


def test_no_photos_and_no_shards(tmp_path):
    assert len(PhotoSource(tmp_path, "test", [])) == 0
    with pytest.raises(UserError, match=r"expected test-\*\.arrayrecord"):
        PhotoSource(tmp_path, "test", [0])
