"""A database's answer as an Arrow file: its batches in types that the readers know, and the hash of what they say."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.tables import times
from gpu_var.tables.findings import escaped
from gpu_var.tables.readers import column_of, fits, is_text
from gpu_var.tables.schema import HISTORY, Table, Type, factor_kind
from gpu_var.tables.source_files import SpoolError

ROWS = 1 << 16
"""Of a batch in the file, at least, but for the last."""


_POSTGRESQL_TYPE = b"ADBC:postgresql:typname"


class AnswerError(Exception):
    """The answer cannot be used; the message says why and what is expected."""


class Digest:
    """SHA-256 of the columns that the table knows: of names, values and order of rows, whatever the chunks and types.

    Of each column: which rows have a value, a byte a row; numbers as float64, times as int64 microseconds, texts as
    int64 lengths and then UTF-8. Little-endian; what is not there counts as 0.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._rows = 0
        self._columns: dict[str, tuple[Any, ...]] = {}

    def update(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._rows += batch.num_rows
        for name in dict.fromkeys(batch.schema.names):
            if not is_known(self._table, name):
                continue
            streams = self._columns.setdefault(name, tuple(hashlib.sha256() for _ in range(3)))
            column = batch.column(batch.schema.names.index(name))
            for stream, values in zip(streams, _content(column, column_of(self._table, name).type), strict=True):
                stream.update(values)

    def hexdigest(self) -> str:
        """The hash of all rows so far."""
        whole = hashlib.sha256(f"{self._table.name} {self._rows}\n".encode())
        for name in sorted(self._columns):
            parts = " ".join(stream.hexdigest() for stream in self._columns[name])
            whole.update(f"{len(name.encode())} {name} {parts}\n".encode())
        return whole.hexdigest()


def _content(column: pa.Array, wanted: Type) -> tuple[bytes, bytes, bytes]:
    """(given, lengths, values) as bytes."""
    given = np.asarray(column.is_valid()).astype(np.uint8).tobytes()
    if not fits(column.type, wanted) and not is_text(column.type) and not pa.types.is_null(column.type):
        return given, b"", b""  # of a wrong type, which stops the run
    if wanted == "number" and not is_text(column.type):
        return given, b"", np.asarray(column.cast(pa.float64(), safe=False).fill_null(0.0), "<f8").tobytes()
    if wanted == "time" and not is_text(column.type):
        value, good = times.from_arrow(column.cast(pa.timestamp("us")) if pa.types.is_null(column.type) else column)
        return given, b"", np.where(good, value, 0).astype("<i8").tobytes()
    text = column.cast(pa.large_string()).fill_null("")
    length = np.asarray(pc.binary_length(text), "<i8")
    return given, length.tobytes(), b"" if not length.sum() else _text_bytes(text)


def _text_bytes(text: pa.LargeStringArray) -> bytes:
    _, offsets, data = text.buffers()
    offset = np.frombuffer(offsets, np.int64)[text.offset : text.offset + len(text) + 1]
    return bytes(data[int(offset[0]) : int(offset[-1])])


def is_known(table: Table, name: str) -> bool:
    """Whether the table has a column of that name."""
    return name in table.names or (table is HISTORY and factor_kind(name) is not None)


def write_answer(
    file: Path, table: Table, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, untyped: bool
) -> str:
    """Write batches, which may be small, to an Arrow file, and return the `Digest` of their content.

    `untyped`: the database types values, not columns, so that a column's type is that of its first rows, and none
    where these are null. Raises `AnswerError` where later rows are of another type, `OSError` where nothing can be
    written.
    """
    digest = Digest(table)
    writer = None
    with _closed(file) as stack:
        with _writing(file):
            sink = stack.enter_context(pa.OSFile(str(file), "wb"))
        for batch in _larger(batches, schema):
            plain = _plain(batch, table, untyped)
            if writer is None:
                first = plain.schema
                options = pa.ipc.IpcWriteOptions(compression="lz4")
                with _writing(file):
                    writer = stack.enter_context(pa.ipc.new_file(sink, first, options=options))
            elif plain.schema != first:
                plain = _alike(plain, first)
            digest.update(plain)
            with _writing(file):
                writer.write_batch(plain)
    return digest.hexdigest()


@contextlib.contextmanager
def _closed(file: Path) -> Iterator[contextlib.ExitStack]:
    """A stack that is closed at the end. After an error, that is what is raised, not what closing says then."""
    stack = contextlib.ExitStack()
    try:
        yield stack
    except BaseException:
        with contextlib.suppress(OSError, pa.ArrowException):
            stack.close()
        raise
    with _writing(file):
        stack.close()


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(file, error) from error


def _larger(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `ROWS` or more; a batch of none where there are none."""
    held: list[pa.RecordBatch] = []
    count = 0
    sent = False
    for batch in batches:
        held.append(batch)
        count += batch.num_rows
        if count >= ROWS:
            yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]
            held, count, sent = [], 0, True
    if count or not sent:
        table = pa.Table.from_batches(held, schema).combine_chunks()
        yield from table.to_batches() or [pa.RecordBatch.from_pylist([], schema)]


def _plain(batch: pa.RecordBatch, table: Table, untyped: bool) -> pa.RecordBatch:
    """In types that the readers know; of unknown columns nothing but the name."""
    arrays = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        nothing = untyped and column.null_count == len(column)
        if nothing or not is_known(table, field.name):
            arrays.append(pa.nulls(len(column)))
        else:
            arrays.append(_column(field, column, column_of(table, field.name).type))
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _column(field: pa.Field, column: pa.Array, wanted: Type) -> pa.Array:
    name, type_ = field.name, column.type
    if wanted == "number" and (field.metadata or {}).get(_POSTGRESQL_TYPE) == b"numeric":
        return getattr(column, "storage", column).cast(pa.float64())  # it comes as text
    if isinstance(type_, pa.BaseExtensionType):
        storage = column.storage
        if wanted in ("identifier", "word") and pa.types.is_binary(storage.type):
            try:
                return storage.cast(pa.string())  # an enumeration of PostgreSQL comes as bytes
            except pa.ArrowInvalid as error:
                text = f"column {escaped(name)}: of type {escaped(str(type_))}; expected text: cast it in the query"
                raise AnswerError(text) from error
        return column
    if pa.types.is_dictionary(type_):
        return column.cast(type_.value_type)
    return column.cast(pa.string()) if is_text(type_) else column


def _alike(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the types of the first."""
    arrays = []
    for column, field in zip(batch.columns, schema, strict=True):
        if pa.types.is_null(field.type) and column.null_count < len(column):
            text = f"column {escaped(field.name)}: null in the first rows and {escaped(str(column.type))} in later ones"
            raise AnswerError(f"{text}; expected one type: cast it in the query")
        arrays.append(column if column.type == field.type else column.cast(field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
