"""Records and their shards: what is read is a sound record, or the one that was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from hypothesis import strategies as st
from tests.fuzz.harness import fuzz, mutations, scratch_folder
from tests.fuzz.oracles import pixels_of

from fashionseg.data.records import PhotoRecord, PhotoSource, ShardWriter
from fashionseg.data.rle import runs_to_mask
from fashionseg.errors import UserError


def record(number: int) -> PhotoRecord:
    return PhotoRecord(
        image_id=f"{number}.jpg",
        jpeg=bytes([number]) * 40,
        height=12,
        width=10,
        categories=np.arange(number, dtype=np.int16),
        runs=tuple(np.array([[place, 2], [place + 5, 1]], np.int32) for place in range(number)),
    )


def pack(value: Any) -> bytes:
    """Msgpack, whatever Python's text may hold that no file can."""
    return msgpack.packb(value, unicode_errors="surrogatepass")


RECORDS = [record(number) for number in range(4)]
NODES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(), st.binary(max_size=17), st.text()
    ),
    lambda nodes: st.one_of(
        st.lists(nodes, max_size=3), st.dictionaries(st.text(max_size=3), nodes, max_size=2)
    ),
    max_leaves=4,
)
RUNS = st.lists(st.tuples(st.integers(-1, 130), st.integers(-1, 20)), max_size=3).map(
    lambda pairs: np.array(pairs, "<i4").tobytes()
)
MAPS = st.fixed_dictionaries(
    {
        "image_id": st.one_of(st.text(max_size=5), NODES),
        "jpeg": st.one_of(st.binary(max_size=5), NODES),
        "height": st.one_of(st.integers(-1, 30), NODES),
        "width": st.one_of(st.integers(0, 30), NODES),
        "categories": st.one_of(
            st.lists(st.integers(-1, 45), max_size=3).map(lambda c: np.array(c, "<i2").tobytes()), NODES
        ),
        "runs": st.one_of(st.lists(RUNS, max_size=3), NODES),
    }
).map(pack)


@fuzz(
    0.2, data=st.one_of(mutations(*(one.to_bytes() for one in RECORDS)), MAPS, NODES.map(pack), st.binary())
)
def test_record(data: bytes) -> str:
    try:
        found = PhotoRecord.from_bytes(data)
    except ValueError as error:
        assert str(error).startswith("expected a photo record")
        return "refused"
    assert isinstance(found.image_id, str)
    assert isinstance(found.jpeg, bytes)
    assert found.height > 0 < found.width
    assert len(found.categories) == len(found.runs)
    assert all(category >= 0 for category in found.categories)
    for runs in found.runs:
        pixels = pixels_of(runs.tolist())
        assert len(pixels) == runs[:, 1].sum() > 0
        assert pixels <= set(range(found.height * found.width))
        assert runs_to_mask(runs, (found.height, found.width)).sum() == len(pixels)
    again = PhotoRecord.from_bytes(found.to_bytes())
    assert again.to_bytes() == found.to_bytes()
    return "valid"


def write_shard(folder: Path) -> tuple[Path, bytes]:
    writer = ShardWriter(folder, "train", per_shard=10)
    for one in RECORDS:
        writer.write(one)
    writer.close()
    (path,) = folder.iterdir()
    return path, path.read_bytes()


FOLDER = scratch_folder()
SHARD, SHARD_BYTES = write_shard(FOLDER)


@fuzz(0.03, head=mutations(SHARD_BYTES[:2000], SHARD_BYTES), tail=st.booleans())
def test_shard(head: bytes, tail: bool) -> str:
    SHARD.write_bytes(head + SHARD_BYTES[len(head) :] if tail else head)
    try:
        source = PhotoSource(FOLDER, "train", range(len(RECORDS)))
        found = [source[place] for place in range(len(RECORDS))]
    except UserError as error:
        assert str(error).isprintable()
        return "refused"
    assert [one.to_bytes() for one in found] == [one.to_bytes() for one in RECORDS]
    return "valid"
