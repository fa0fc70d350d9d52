"""Positions read again, batch by batch, so that never all of them are in memory as text."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet

from gpu_var.tables.book import Book
from gpu_var.tables.columns import Columns
from gpu_var.tables.findings import Findings
from gpu_var.tables.readers import canonical, constant, ipc, read_table, record_batches
from gpu_var.tables.schema import POSITIONS
from gpu_var.tables.source_files import Part

ROWS = 1 << 17
"""Of a batch, at most."""

_IDENTIFIER = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema([("account", _IDENTIFIER), ("instrument", _IDENTIFIER), ("quantity", pa.float64())])
"""Of every batch; each has dictionaries of its own."""


def iter_positions(book: Book, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """The rows of the table `positions` as they stand in its files, in batches of at most `rows`, of type `SCHEMA`.

    The book has been found sound, so no value is null. Parquet is read a row group at a time, Arrow a record batch;
    CSV, whose rows only the whole text tells apart, is read at once. Raises `OSError` where a file is gone.
    """
    source = book.sources.get("positions")
    files = book.files["positions"]
    for part in source.parts if source is not None else [Part(file, file.name) for file in files]:
        batches = _from_csv(part, rows) if part.path.suffix == ".csv" else _typed(part, rows)
        for batch in batches:
            if batch.num_rows:
                yield batch


def _typed(part: Part, rows: int) -> Iterator[pa.RecordBatch]:
    constants = dict(part.constants)
    names = [name for name in SCHEMA.names if name not in constants]
    for batch in _parquet(part, names, rows) if part.path.suffix == ".parquet" else _arrow(part, names, rows):
        table = pa.Table.from_batches([batch])
        columns = [
            constant(constants[column.name], batch.num_rows, column.type)
            if column.name in constants
            else canonical(table[column.name], column.type)
            for column in POSITIONS.columns
        ]
        yield pa.RecordBatch.from_arrays([_one(column) for column in columns], schema=SCHEMA)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _parquet(part: Part, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    text = [name for name in names if POSITIONS[name].type == "identifier"]
    with pyarrow.parquet.ParquetFile(part.path, read_dictionary=text) as file:
        yield from file.iter_batches(rows, columns=names)


def _arrow(part: Part, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
    schema = ipc(part.path).schema
    for batch in record_batches(ipc(part.path, [schema.get_field_index(name) for name in names])):
        for first in range(0, batch.num_rows, rows):
            yield batch.slice(first, rows)


def _from_csv(part: Part, rows: int) -> Iterator[pa.RecordBatch]:
    raw = read_table(POSITIONS, (part.path,), Findings(), [])
    if raw is None:
        raise FileNotFoundError(f"{part.path} cannot be read any more")
    columns = Columns(raw, Findings())
    arrays = [pa.array(columns.numbers("quantity"))]
    for name in ("instrument", "account"):
        found = columns.identifiers(name)
        arrays.insert(0, pa.DictionaryArray.from_arrays(pa.array(found.code), found.value))
    yield from pa.Table.from_arrays(arrays, schema=SCHEMA).to_batches(rows)
