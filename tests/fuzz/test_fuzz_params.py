"""params.yaml: what is accepted is in range and survives being written and read; all else is one line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from tests.fuzz.harness import fuzz, mutations, scratch_folder

from fashionseg.errors import UserError
from fashionseg.params import Params, flatten, load_params, parse_params, read_yaml, to_dict

COMMITTED = Path(__file__).parents[2] / "params.yaml"
VALUES = read_yaml(COMMITTED)
# The whole file takes 40 ms to read, so most cases start from a part, which is refused for its missing keys alone.
SECTIONS = COMMITTED.read_text().split("\n\n")
PATH = scratch_folder() / "params.yaml"
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        [0, -1, 1, 2**31, 2**64, 10**30, 1e308, -0.0, math.nan, math.inf, "none", "1e-5", "\ud800"]
    ),
)
NODES = st.recursive(
    SCALARS,
    lambda nodes: st.one_of(
        st.lists(nodes, max_size=4), st.dictionaries(st.text(max_size=3), nodes, max_size=3)
    ),
    max_leaves=6,
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(sorted(flatten(VALUES))), st.sampled_from(["set", "delete", "rename"]), NODES),
    min_size=1,
    max_size=3,
)


@fuzz(0.015, changes=CHANGES)
def test_params_values(changes: list[tuple[str, str, Any]]) -> str:
    values = json.loads(json.dumps(VALUES))
    for key, kind, node in changes:
        *sections, name = key.split(".")
        target = values
        for section in sections:
            target = target[section]
        old = target.pop(name, None)
        if kind == "set":
            target[name] = node
        elif kind == "rename":
            target[str(node)] = old
    return check(lambda: parse_params(values, PATH))


@fuzz(0.015, data=mutations(*(f"{section}\n".encode() for section in SECTIONS)))
def test_params_file_part(data: bytes) -> str:
    PATH.write_bytes(data)
    return check(lambda: load_params(PATH))


@fuzz(0.005, short=50, data=mutations(COMMITTED.read_bytes(), most=2))
def test_params_file(data: bytes) -> str:
    PATH.write_bytes(data)
    return check(lambda: load_params(PATH))


def check(load: Any) -> str:
    try:
        params = load()
    except UserError as error:
        assert str(error).startswith(f"{PATH}: "), error
        assert str(error).isprintable()
        assert len(str(error)) < 6000
        return "refused"
    assert is_sane(params), params
    assert parse_params(json.loads(json.dumps(to_dict(params))), PATH) == params
    return "valid"


def is_sane(params: Params) -> bool:
    """A few rules, said once more."""
    flat = flatten(to_dict(params))
    numbers = [n for value in flat.values() for n in (value if isinstance(value, list) else [value])]
    train = params.train
    return (
        not any(isinstance(number, float) and not math.isfinite(number) for number in numbers)
        and 0 < params.split.validation_fraction < 1
        and all(stage.epochs >= 1 and stage.learning_rate > 0 for stage in (train.heads, train.finetune))
        and 0 <= params.seed < 2**32
        and params.decode.max_megapixels * 1e6 < 2**31
        and all(0 <= value <= 1 for key, value in flat.items() if "fraction" in key or "probability" in key)
        and params.model.image_size % 32 == 0
    )
