"""A missing package reported in one line: the GPU benchmarks run outside the project's environment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fashionseg.errors import UserError

_HOW = "`pip install -r requirements/bench-gpu.in && pip install --no-deps imaug`"


@contextmanager
def missing_packages_named(command: str) -> Iterator[None]:
    """
    Raises:
        UserError: a package that the block imports is not installed; the message says how to install it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").split(".")[0]
        if name in ("", "fashionseg"):
            raise
        raise UserError(
            f"{command}: module {name!r} is not installed; {_HOW} installs everything except JAX or TensorFlow "
            "with GPU support"
        ) from None
