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
        table = parquet.read_table(path, columns=None if columns is None else list(columns))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run the stage {stage}") from None
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not readable as Parquet: {reason}; run the stage {stage}") from None
    missing = [name for name in columns or () if name not in table.column_names]
    if missing:
        raise UserError(f"{path}: expected the columns {', '.join(missing)}; run the stage {stage}")
    return table
