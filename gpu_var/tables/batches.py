"""Positions read batch by batch, so that never all of them are in memory as text."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from gpu_var.tables.book import Book
from gpu_var.tables.columns import Columns
from gpu_var.tables.findings import Findings
from gpu_var.tables.readers import (
    Raw,
    canonical,
    constant,
    fits,
    ipc,
    known_columns,
    parts_of,
    read_table,
    record_batches,
)
from gpu_var.tables.schema import POSITIONS
from gpu_var.tables.source_files import Fetched, Part

ROWS = 1 << 17
"""Of a batch, at most."""

_BUFFER = 1 << 20  # bytes of a Parquet column that are read at a time, however large its row groups are

_IDENTIFIER = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema([("account", _IDENTIFIER), ("instrument", _IDENTIFIER), ("quantity", pa.float64())])
"""Of every batch; each has dictionaries of its own."""


class UnsoundError(Exception):
    """Something is wrong with a table that is being streamed; reading it as a whole tells what."""


def iter_positions(book: Book, rows: int = ROWS) -> Iterator[pa.RecordBatch]:
    """The rows of the table `positions` as they stand in its files, in batches of at most `rows`, of type `SCHEMA`.

    The book has been found sound, so no value is null. Parquet is read a row group at a time, Arrow a record batch;
    CSV, whose rows only the whole text tells apart, is read at once. Raises `OSError` where a file is gone.
    """
    for part in parts_of(POSITIONS, book.files["positions"], book.sources.get("positions"))[1]:
        yield from _from_csv(part, rows) if part.path.suffix == ".csv" else _typed(part, rows)


def streamable(files: tuple[Path, ...], source: Fetched | None, ignored: list[str]) -> tuple[Part, ...] | None:
    """The parts of a table `positions` that `sound_positions` can read; None where it is CSV, empty, or has not its
    columns. `ignored` gets the unknown columns.
    """
    label, parts = parts_of(POSITIONS, files, source)
    unknown: list[str] = []
    some = False
    for part in parts:
        constants = dict(part.constants)
        if part.path.suffix not in (".parquet", ".arrow") or "quantity" in constants:
            return None
        try:
            schema, rows = _outline(part)
        except (OSError, ValueError, pa.ArrowException):
            return None
        findings = Findings()
        known_columns(POSITIONS, (*schema.names, *constants), label, part.name, findings, unknown, set())
        types = [(schema.field(c.name).type, c.type) for c in POSITIONS.columns if c.name in schema.names]
        if findings.count or not all(fits(type_, wanted) for type_, wanted in types):
            return None
        some |= rows
    ignored += unknown if some else []
    return parts if some else None


def _outline(part: Part) -> tuple[pa.Schema, bool]:
    """A file's columns, and whether it has a row."""
    if part.path.suffix == ".parquet":
        with pyarrow.parquet.ParquetFile(part.path) as file:
            return file.schema_arrow, file.metadata.num_rows > 0
    schema = ipc(part.path).schema
    return schema, any(batch.num_rows for batch in record_batches(ipc(part.path, list(range(len(schema))))))


def sound_positions(parts: tuple[Part, ...], rows: int = ROWS) -> Iterator[Columns]:
    """The rows of `streamable` parts in batches of at most `rows`.

    Raises `UnsoundError` where a file cannot be read, or a value does not belong there.
    """
    for part in parts:
        batches = _typed(part, rows)
        while True:
            try:
                batch = next(batches, None)
            except (OSError, ValueError, pa.ArrowException) as error:
                raise UnsoundError(str(error)) from error
            if batch is None:
                break
            findings = Findings()
            table = Columns(_raw(batch), findings)
            for name in ("account", "instrument"):
                table.identifiers(name)
            table.numbers("quantity")
            if findings.count:
                raise UnsoundError(findings.errors[0])
            yield table


def _raw(batch: pa.RecordBatch) -> Raw:
    columns = {name: pa.chunked_array([batch[name]]) for name in SCHEMA.names}
    n = batch.num_rows
    return Raw(POSITIONS, "", (("", n),), columns, n, None, None, frozenset(), ragged=False, whole=True)


def _typed(part: Part, rows: int) -> Iterator[pa.RecordBatch]:
    constants = dict(part.constants)
    names = [name for name in SCHEMA.names if name not in constants]
    for batch in _parquet(part, names, rows) if part.path.suffix == ".parquet" else _arrow(part, names, rows):
        if not batch.num_rows:
            continue
        batch.validate(full=True)  # text that is not UTF-8, offsets beyond the end
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
    with pyarrow.parquet.ParquetFile(part.path, read_dictionary=text, pre_buffer=False, buffer_size=_BUFFER) as file:
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
