"""Read the tables of a data set: parquet files of lists of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hearth.core.errors import DataError
from hearth.data.lerobot import layout

# Columns that LeRobot's tables may have beside the numbers; whole numbers where they stand.
INTEGER_COLUMNS = ("episode_index", "frame_index", "task_index")


@dataclass(frozen=True)
class Table:
    """The table of one episode of T frames.

    Attributes:
        actions: float32[T, D], in the benchmark's order and units.
        proprioception: float32[T, P].
        timestamps: float64[T], seconds.
    """

    actions: np.ndarray
    proprioception: np.ndarray
    timestamps: np.ndarray


def read_columns(path: Path, widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Read list columns as float32[T, width], the timestamp as float64[T], indices as int64[T].

    Lists are flattened inside Arrow: row by row would take a hundred times longer. Those of
    `INTEGER_COLUMNS` that the file lacks are left out.

    Raises:
        DataError: the file is missing or unreadable, lacks a column, a row has another width, or
            an index is no whole number.
    """
    table = read_parquet(path, [*widths, layout.TIMESTAMP], INTEGER_COLUMNS)
    if not table.num_rows:
        raise DataError(f"{path} has no rows")
    columns: dict[str, np.ndarray] = {
        name: _flatten(path, name, table.column(name), width) for name, width in widths.items()
    }
    columns[layout.TIMESTAMP] = _numbers(path, layout.TIMESTAMP, table.column(layout.TIMESTAMP))
    for name in INTEGER_COLUMNS:
        if name in table.column_names:
            columns[name] = integers(path, name, table.column(name))
    return columns


def read_parquet(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """The columns `needed`, and those of `optional` that the file has.

    Raises:
        DataError: the file is missing or unreadable, or lacks a needed column.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        with pq.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            missing = sorted({*needed} - names)
            if missing:
                raise DataError(f"{path} lacks the columns {', '.join(missing)}")
            return file.read(columns=[*needed, *(name for name in optional if name in names)])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as parquet: {error}") from error


def check_rows(path: Path, columns: Mapping[str, np.ndarray], episode: int, length: int) -> None:
    """Check the rows of one episode against the index.

    Raises:
        DataError: another number of rows, rows of another episode, or frames out of order.
    """
    rows = len(columns[layout.TIMESTAMP])
    if rows != length:
        raise DataError(f"{path} has {rows} rows; the index says {length} for episode {episode}")
    found = columns.get("episode_index")
    if found is not None and (found != episode).any():
        raise DataError(f"{path} holds rows of episode {found[found != episode][0]}, not {episode}")
    frames = columns.get("frame_index")
    if frames is not None and (frames != np.arange(rows)).any():
        row = int(np.flatnonzero(frames != np.arange(rows))[0])
        raise DataError(f"{path}: frame_index is {frames[row]} in row {row} of episode {episode}")


def integers(path: Path, name: str, column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A column of whole numbers as int64[n].

    Raises:
        DataError: it holds anything else, or empty values.
    """
    if not pa.types.is_integer(column.type):
        raise DataError(f"{path}: column '{name}' holds {column.type}, not whole numbers")
    if column.null_count:
        raise DataError(f"{path}: column '{name}' has {column.null_count} empty values")
    return column.to_numpy().astype(np.int64)


def _flatten(path: Path, name: str, column: pa.ChunkedArray, width: int) -> np.ndarray:
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise DataError(f"{path}: column '{name}' is {kind}, not a list of {width} numbers")
    lengths = column.combine_chunks().value_lengths()
    found = set(lengths.unique().to_pylist())
    if found != {width}:
        raise DataError(f"{path}: rows of '{name}' have {found} numbers; needed are {width}")
    flat = column.combine_chunks().flatten()
    return _numbers(path, name, flat).astype(np.float32, copy=False).reshape(-1, width)


def _numbers(path: Path, name: str, values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
        raise DataError(f"{path}: column '{name}' holds {values.type}, not numbers")
    if values.null_count:
        raise DataError(f"{path}: column '{name}' has {values.null_count} empty values")
    numbers = values.to_numpy()
    return numbers if name != layout.TIMESTAMP else numbers.astype(np.float64)
