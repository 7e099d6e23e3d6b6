"""A missing package named in one line: the GPU benchmarks run where the project's environment is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fashionseg.errors import UserError

_HOW = "`pip install -r requirements/bench-gpu.in && pip install --no-deps imaug`"


@contextmanager
def missing_packages_named(command: str) -> Iterator[None]:
    """
    Raises:
        UserError: something that the block imports is not installed; says how to get it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").split(".")[0]
        if name in ("", "fashionseg"):
            raise
        raise UserError(
            f"{command}: no package that gives the module {name!r}; {_HOW} brings all that it needs "
            "beside JAX or TensorFlow with their GPU parts"
        ) from None
