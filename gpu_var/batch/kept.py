"""Tables of a run whose rows are too many to hold: kept in a folder part by part, and read back a piece at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from gpu_var.batch.errors import WriteError
from gpu_var.batch.outputs import ROW_GROUP


@dataclass(frozen=True)
class _Part:
    """Some rows of a table, in memory or in an Arrow file."""

    where: pa.Table | Path
    rows: int

    def column(self, name: str) -> pa.ChunkedArray:
        """A column, alone read from the file."""
        if isinstance(self.where, pa.Table):
            return self.where[name]
        with pa.OSFile(str(self.where)) as stream:
            at = pa.ipc.open_file(stream).schema.get_field_index(name)
            return pa.ipc.open_file(stream, options=pa.ipc.IpcReadOptions(included_fields=[at])).read_all()[name]


class Kept(Mapping[str, pa.Table]):
    """Tables by name, in parts that follow one another: those in `aside` in files of a folder, the others in memory.

    A table is read when it is asked for, each of its columns one array, as if it had never been in parts.
    """

    def __init__(self, folder: Path | None, aside: tuple[str, ...]) -> None:
        self._folder, self._aside = folder, aside
        self._parts: dict[str, list[_Part]] = {}
        self._schema: dict[str, pa.Schema] = {}

    def add(self, name: str, table: pa.Table) -> None:
        """The next part of a table. Raises `WriteError`."""
        parts = self._parts.setdefault(name, [])
        self._schema[name] = table.schema
        if self._folder is None or name not in self._aside:
            parts.append(_Part(table, table.num_rows))
            return
        path = self._folder / f"table-{name}-{len(parts):06}"
        try:
            self._folder.mkdir(exist_ok=True)
            with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
                writer.write_table(table)
        except OSError as error:
            raise WriteError(path, error) from error
        parts.append(_Part(path, table.num_rows))
        pa.default_memory_pool().release_unused()  # Arrow keeps what it has freed, which here is most of the memory

    def __getitem__(self, name: str) -> pa.Table:
        return self._read(name, self._schema[name].names, 0, self._rows(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def select(self, name: str, columns: Sequence[str]) -> pa.Table:
        """Some columns of a table, in that order."""
        return self._read(name, columns, 0, self._rows(name))

    def pieces(self, name: str) -> Iterator[pa.Table]:
        """The rows of a table in pieces of `ROW_GROUP`, but for the last one; one piece where there is no row."""
        rows = self._rows(name)
        for first in range(0, max(1, rows), ROW_GROUP):
            yield self._read(name, self._schema[name].names, first, min(first + ROW_GROUP, rows))
            pa.default_memory_pool().release_unused()

    def _rows(self, name: str) -> int:
        return sum(part.rows for part in self._parts[name])

    def _read(self, name: str, columns: Sequence[str], first: int, last: int) -> pa.Table:
        """Rows of a table, column by column, lest all of them be there twice."""
        schema = pa.schema([self._schema[name].field(column) for column in columns])
        return pa.Table.from_arrays([self._column(name, field, first, last) for field in schema], schema=schema)

    def _column(self, name: str, field: pa.Field, first: int, last: int) -> pa.Array:
        chunks: list[pa.Array] = []
        for part in self._parts[name]:
            if first < part.rows and last > 0:
                begin = max(0, first)
                chunks += part.column(field.name).slice(begin, min(last, part.rows) - begin).chunks
            first, last = first - part.rows, last - part.rows
        return chunks[0] if len(chunks) == 1 else pa.chunked_array(chunks, field.type).combine_chunks()
