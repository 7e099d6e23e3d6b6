"""The parameters page: types, meanings and stale stages from the code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from tools.docs.markdown import code
from tools.docs.params_page import describe, describe_stale, leaves, params_tables, read_comments

from fashionseg.params import Params


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "`true` or `false`"),
        (str | None, "text or `null`"),
        (Literal["sgd", "adamw"], "`sgd` or `adamw`"),
        (bool | Literal["auto"], "`true` or `false` or `auto`"),
        (Annotated[int, Field(ge=1)], "integer ≥ 1"),
        (Annotated[float, Field(gt=0.0, lt=1.0)], "number > 0, < 1"),
        (Annotated[int, Field(ge=0, lt=2**32)], "integer ≥ 0, < 2<sup>32</sup>"),
        (Annotated[int, Field(ge=64, le=4096, multiple_of=32)], "integer ≥ 64, ≤ 4096, multiple of 32"),
        (Annotated[str, Field(min_length=1)], "text, not empty"),
        (tuple[float, float], "list of 2, each number"),
        (Annotated[tuple[int, ...], Field(min_length=1)], "list, each integer, not empty"),
        (dict[str, float], "mapping of text to number"),
    ],
)
def test_types_in_words(kind: Any, words: str) -> None:
    assert describe(kind) == words


def test_comments_belong_to_the_key_below_or_beside() -> None:
    text = (
        "# about the file\n\nseed: 1\n\n# what is drawn\nsample:\n  photos: 4   # at least 10\n  deep:\n    side: 3\n"
        "other:\n  side: 160  # pixels\n"
    )
    assert read_comments(text) == {
        "sample": "what is drawn",
        "sample.photos": "at least 10",
        "other.side": "pixels",
    }


STAGES = {
    "decode": {"params": ["decode"], "outs": ["data/decoded"]},
    "train": {"params": ["train.rate"], "deps": ["data/decoded"], "outs": [{"models": {"cache": False}}]},
    "score": {"params": ["score"], "deps": ["models/weights.h5"]},
    "picture": {"params": ["picture"], "deps": ["data/decoded"]},
}


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("decode.side", "`decode` and all after it"),
        ("train.rate", "`train`, `score`"),
        ("train.epochs", "nothing"),
        ("score.folds", "`score`"),
    ],
)
def test_stale_stages_follow_outputs(key: str, stages: str) -> None:
    assert describe_stale(key, STAGES) == stages


def test_each_key_has_a_row(repo: Path) -> None:
    tables = params_tables(repo)
    keys = [key for key, _ in leaves(Params)]
    assert len(keys) > 60
    assert [key for key in keys if tables.count(f"| {code(key)} |") != 1] == []


def test_each_key_is_explained(repo: Path) -> None:
    rows = [line for line in params_tables(repo).splitlines() if line.startswith("| <code>")]
    assert [row for row in rows if row.replace(r"\|", "").split(" | ")[3].strip() == ""] == []


def test_presets_that_differ_are_named(repo: Path) -> None:
    row = next(line for line in params_tables(repo).splitlines() if code("decode.long_side") in line)
    assert (
        "`160`<br>coco: `400`<br>fashionpedia: `640`<br>folder-gpu: `640`<br>folder-long: `576`<br>folder: `400`"
        "<br>kaggle-dgx: `512`" in row
    )
