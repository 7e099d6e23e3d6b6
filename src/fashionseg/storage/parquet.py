"""Parquet tables of the pipeline, read with one account of what can be wrong with a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from fashionseg.errors import UserError


def read_table(path: Path, columns: Sequence[str] | None, stage: str) -> pa.Table:
    """The table, or some of its columns, that the stage `stage` wrote.

    Raises:
        UserError: the file is missing, is not Parquet, or lacks a column.
    """
    try:
        names = parquet.read_schema(path).names
        missing = [name for name in columns or () if name not in names]
        table = None if missing else parquet.read_table(path, columns=list(columns or names))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage {stage}") from None
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as Parquet: {reason}; run the stage {stage}") from None
    if table is None:
        raise UserError(f"{path}: expected the columns {', '.join(missing)}; run the stage {stage}")
    return table
