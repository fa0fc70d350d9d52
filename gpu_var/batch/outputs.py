"""The files of a run, in bytes that depend on their content alone."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import IOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv
from pyarrow import parquet as pq

from gpu_var.batch.errors import UsageError

SUFFIXES = (".csv", ".parquet", ".arrow")

ROW_GROUP = 1 << 20
"""Rows of a row group of the Parquet files."""


def write_parquet(table: pa.Table, stream: BinaryIO) -> None:
    """Parquet 2.6, zstd, one row group a million rows; no time stands in the file."""
    write_pieces(iter([table]), stream)


def write_pieces(pieces: Iterator[pa.Table], stream: BinaryIO) -> None:
    """As `write_parquet`, and to the same bytes, of a table in pieces: all but the last one of `ROW_GROUP` rows."""
    piece = next(pieces)
    with pq.ParquetWriter(stream, piece.schema, version="2.6", compression="zstd") as writer:
        while piece.num_columns:
            writer.write_table(piece, row_group_size=ROW_GROUP)
            del piece  # before the next one is made
            piece = next(pieces, pa.table({}))


def write_arrow(table: pa.Table, stream: BinaryIO) -> None:
    """Arrow IPC file."""
    with pa.ipc.new_file(cast(IOBase, stream), table.schema) as writer:
        writer.write_table(table)


def write_csv(table: pa.Table, stream: BinaryIO) -> None:
    """UTF-8, LF, text quoted, null an empty field; floats in the shortest form that reads back as the same number."""
    stream.write((",".join(table.column_names) + "\n").encode())
    csv.write_csv(table, stream, csv.WriteOptions(include_header=False))


def writer_for(path: Path) -> Callable[[pa.Table, BinaryIO], None]:
    """The writer for a file name. Raises `UsageError` for a suffix that is none of `SUFFIXES`."""
    writers = {".csv": write_csv, ".parquet": write_parquet, ".arrow": write_arrow}
    if path.suffix not in writers:
        shown = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        raise UsageError(f"--out {path} {shown}; expected one of {', '.join(SUFFIXES)}")
    return writers[path.suffix]


def pnl_table(account: "pa.ChunkedArray[Any]", pnl: npt.NDArray[np.float64], scenarios: Sequence[str]) -> pa.Table:
    """P&L (n_accounts, n_scenarios), base currency, gains positive, as one row an account without copying it.

    A failed account's row, NaN throughout, is null.
    """
    flat = pa.array(np.ascontiguousarray(pnl).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, pnl.shape[1], mask=pa.array(np.isnan(pnl[:, 0])))
    schema = pa.schema(
        [("account", pa.string()), ("pnl", pa.list_(pa.float64(), pnl.shape[1]))],
        metadata={"scenarios": json.dumps(list(scenarios), ensure_ascii=False)},
    )
    return pa.Table.from_arrays([account.cast(pa.string()), column], schema=schema)


def write_json(tree: Mapping[str, Any], stream: BinaryIO) -> None:
    """Indented UTF-8 JSON."""
    stream.write((json.dumps(tree, indent=2, ensure_ascii=False) + "\n").encode())
