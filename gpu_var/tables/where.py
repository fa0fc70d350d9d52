"""Where a book's rows stand in its files: found again when a message needs it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.tables.book import Book
from gpu_var.tables.findings import PER_KIND, Findings
from gpu_var.tables.readers import Raw, read_table
from gpu_var.tables.schema import TABLES


class Where:
    """Findings about rows of a book that has been read already. Tables are read again: for messages only."""

    def __init__(self, book: Book, findings: Findings) -> None:
        self._book = book
        self._findings = findings
        self._read: dict[str, Raw | None] = {}

    def label(self, table: str) -> str:
        """The name of a table's file; the table's own where it has none."""
        return self._book.label(table)

    def report(
        self, table: str, column: str, kind: str, rows: npt.NDArray[np.intp], text: Callable[[int], str]
    ) -> None:
        """A finding for each of the rows (of the file, from 0), ascending; ``text(row)`` words it."""
        if not len(rows):
            return
        first = rows[:PER_KIND]
        raw = self._raw(table)
        label = self.label(table)
        places = raw.places(first) if raw else [label] * len(first)
        self._findings.errors_at(
            label, places, lambda i: text(int(first[i])), column=column, kind=kind, count=len(rows)
        )

    def rows_with(self, table: str, column: str, names: Sequence[str]) -> npt.NDArray[np.intp]:
        """The rows of the file that have one of the names in that column."""
        raw = self._raw(table)
        if raw is None or column not in raw.columns or not names:
            return np.zeros(0, np.intp)
        found: Any = pc.is_in(raw.columns[column].cast(pa.string()), pa.array(names, pa.string()))
        return np.flatnonzero(np.asarray(found))

    def shown(self, table: str, column: str, row: int) -> Any:
        """A value of the file."""
        raw = self._raw(table)
        return raw.columns[column][row].as_py() if raw else None

    def _raw(self, table: str) -> Raw | None:
        if table not in self._read:
            files = self._book.files.get(table)
            self._read[table] = None
            if files:
                source = self._book.sources.get(table)
                self._read[table] = read_table(TABLES[table], files, Findings(), [], source)
        return self._read[table]
