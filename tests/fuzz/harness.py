"""How the fuzz tests run: many cases, counted by target; each may refuse its input, and must neither hang nor swell.

In the test suite a target gets a few hundred cases, always the same ones. `make fuzz` sets FASHIONSEG_FUZZ_CASES, the
number of cases over all targets, and draws new ones each time; a failing case is printed, and kept in .hypothesis.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import random
import resource
import shutil
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TOTAL = int(os.environ.get("FASHIONSEG_FUZZ_CASES", "0"))
# In a long run each drawn input of bytes or text is followed by so many copies with changed bytes: to draw one takes
# Hypothesis longer than most readers need for it.
_FOLLOWERS = 19
_HANG_SECONDS = 300  # a case takes milliseconds
# A case may take so much more memory than there was before it; inputs are of a few kilobytes. The address space has to
# hold the stacks of ArrayRecord's threads too, which wait for ever when one of them cannot start.
_MEMORY, _ADDRESS_SPACE = 2**30, 2**34

COUNTS: dict[str, Counter[str]] = {}


def fuzz(
    share: float, short: int = 250, **strategies: st.SearchStrategy[Any]
) -> Callable[[Callable[..., str]], Callable[..., None]]:
    """Runs a test on drawn values; the test returns what became of them, `valid` or `refused`.

    `share` of the cases over all targets go to this one (`short` in the test suite).
    """
    cases = round(TOTAL * share) if TOTAL else short
    mutable = next((key for key in strategies if key in ("data", "head", "text")), None) if TOTAL else None

    def decorate(test: Callable[..., str]) -> Callable[..., None]:
        name = test.__name__.removeprefix("test_")

        def run(**drawn: Any) -> None:
            counts = COUNTS.setdefault(name, Counter())
            with _guarded():
                for values in (drawn, *_followers(drawn, mutable)):
                    with _shown(values):
                        outcome = test(**values)
                    counts[outcome] += 1
                    if TOTAL and counts.total() % max(cases // 5, 1) == 0:
                        print(
                            f"{name}: {counts.total():,} of {cases:,} cases", file=sys.__stderr__, flush=True
                        )

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        return settings(
            max_examples=-(-cases // (1 + _FOLLOWERS)) if mutable else cases,
            derandomize=not TOTAL,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=bool(TOTAL),
        )(given(**strategies)(run))

    return decorate


@contextmanager
def _guarded() -> Iterator[None]:
    """Ends the process with a trace if a case hangs in C code; lets allocations beyond reason fail."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    faulthandler.dump_traceback_later(_HANG_SECONDS, exit=True, file=sys.__stderr__)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _ADDRESS_SPACE, hard))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        faulthandler.cancel_dump_traceback_later()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most) * 1024
    assert grown < _MEMORY, f"the case took {grown:,} bytes of memory"


@contextmanager
def _shown(values: dict[str, Any]) -> Iterator[None]:
    """A follower is not what Hypothesis shows of a failing case."""
    try:
        yield
    except Exception as error:
        error.add_note(f"with {values!r}")
        raise


def _followers(drawn: dict[str, Any], mutable: str | None) -> Iterator[dict[str, Any]]:
    """Copies of drawn values with other bytes, always the same ones for the same values."""
    if mutable is None:
        return
    value = drawn[mutable]
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    rng = random.Random(zlib.crc32(data))
    for _ in range(_FOLLOWERS):
        edits = [
            (rng.choice(_KINDS), rng.random(), rng.randrange(8), rng.choice(_INTERESTING), rng.random())
            for _ in range(rng.randint(1, 4))
        ]
        changed = _mutate((data, edits))
        yield drawn | {mutable: changed.decode("utf-8", "replace") if isinstance(value, str) else changed}


def scratch_folder() -> Path:
    """A folder of a test module, deleted when Python ends."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


_INTERESTING = [bytes([byte]) for byte in (0, 1, 0x7F, 0x80, 0xFE, 0xFF, *b'0",_ \n\r-')] + [
    b"\x00" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\xff" * 8,
    b"99999999999999999999",
    "\u0663".encode(),
    b"\xed\xa0\x80",  # half a character
]

_KINDS = ("flip", "set", "insert", "delete", "copy", "cut")
_EDIT = st.tuples(
    st.sampled_from(_KINDS),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 7),
    st.one_of(st.sampled_from(_INTERESTING), st.binary(min_size=1, max_size=8)),
    st.floats(0, 1, exclude_max=True),
)


def mutations(*originals: bytes, most: int = 6) -> st.SearchStrategy[bytes]:
    """One of the valid files with up to `most` edits of its bytes; none at all now and then."""
    return st.tuples(st.sampled_from(originals), st.lists(_EDIT, max_size=most)).map(_mutate)


def _mutate(drawn: tuple[bytes, list[tuple[str, float, int, bytes, float]]]) -> bytes:
    data = bytearray(drawn[0])
    for kind, fraction, bit, piece, other in drawn[1]:
        place = int(fraction * len(data))
        if kind == "insert" or not data:
            data[place:place] = piece
        elif kind == "flip":
            data[place] ^= 1 << bit
        elif kind == "set":
            data[place : place + len(piece)] = piece
        elif kind == "delete":
            del data[place : place + 1 + int(other**4 * len(data))]
        elif kind == "copy":
            start = int(other * len(data))
            data[place:place] = data[start : start + 1 + bit * 16]
        elif bit == 0:  # cut off; rarely, as nothing behind the place is tried then
            del data[place:]
    return bytes(data)
