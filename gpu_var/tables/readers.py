"""One table from its file or files: the columns that are known, as text (CSV) or as Arrow has them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from gpu_var.tables.csv_text import CsvText, open_csv, read_csv, record_lines
from gpu_var.tables.findings import Findings, escaped, nearest, shown
from gpu_var.tables.schema import FACTORS, HISTORY, Column, Table, Type, factor_kind

I8 = npt.NDArray[np.int64]

_UNNAMED = "''"  # how a message shows a column without a name


@dataclass
class Raw:
    """A table as read: nothing of its values has been looked at yet."""

    table: Table
    label: str  # the file's name, or the folder's
    parts: tuple[tuple[str, int], ...]  # (label, rows) of each file
    columns: dict[str, pa.ChunkedArray]
    rows: int
    csv: CsvText | None
    lines: I8 | None  # of a CSV file's rows, once they were needed
    refused: frozenset[str]  # columns of a wrong type, or that a misspelt one was probably meant for
    ragged: bool  # rows were left out
    whole: bool  # neither a row nor a required column was

    def places(self, rows: npt.NDArray[np.intp]) -> list[str]:
        """Where the rows stand: the file and its line (CSV) or row."""
        if self.csv is not None:
            if self.lines is None:
                self.lines = record_lines(self.csv).line
            return [f"{self.label} line {line}" for line in self.lines[rows]]
        ends = np.cumsum([count for _, count in self.parts])
        part = np.searchsorted(ends, rows, side="right")
        first = ends[part] - np.array([count for _, count in self.parts])[part]
        return [f"{self.parts[p][0]} row {row + 1}" for p, row in zip(part, rows - first, strict=True)]


def read_table(table: Table, files: tuple[Path, ...], findings: Findings, ignored: list[str]) -> Raw | None:
    """The table's known columns; None, and a finding, where nothing of it can be read.

    `ignored` gets the unknown columns, for one note over all tables.
    """
    folder = len(files) > 1 or files[0].parent.name == table.name
    label = files[0].parent.name if folder else files[0].name
    loaded: list[tuple[str, dict[str, pa.ChunkedArray], int]] = []
    before = findings.count
    refused: set[str] = set()
    text: CsvText | None = None
    lines: I8 | None = None
    for file in files:
        part = f"{label}/{file.name}" if folder else label
        with _reported(part, label, findings):
            if not file.stat().st_size and file.suffix != ".csv":
                findings.error(label, "a file of zero bytes; expected a table", place=part, kind="empty")
            elif file.suffix == ".csv":
                text = open_csv(file, part, table.names, findings)
                if text is None:
                    continue
                known = _known(table, text.names, label, part, findings, ignored, refused)
                read = read_csv(text, known, findings) if known else None
                if read is not None:
                    lines = read.lines
                    loaded.append((part, read.columns, read.rows))
            else:
                loaded += _typed(table, file, label, part, findings, ignored, refused)
    if not loaded:
        return None
    rows = sum(count for _, _, count in loaded)
    if not rows and findings.count == before:
        findings.error(label, "empty; expected at least one row", kind="empty")
    names = [name for name in loaded[0][1] if all(name in columns for _, columns, _ in loaded)]
    columns = {
        name: pa.chunked_array([c for _, part, _ in loaded for c in part[name].chunks]) for name in names if rows
    }
    parts = tuple((part, count) for part, _, count in loaded)
    ragged = lines is not None
    whole = not ragged and all(column.name in names for column in table.columns if column.required)
    return Raw(table, label, parts, columns, rows, text, lines, frozenset(refused), ragged, whole)


def _typed(
    table: Table,
    file: Path,
    label: str,
    part: str,
    findings: Findings,
    ignored: list[str],
    refused: set[str],
) -> Iterator[tuple[str, dict[str, pa.ChunkedArray], int]]:
    """A Parquet or Arrow file's known columns, identifiers as dictionaries of text, numbers as float64."""
    parquet = pyarrow.parquet.ParquetFile(file) if file.suffix == ".parquet" else None
    schema = parquet.schema_arrow if parquet else _ipc(file).schema
    known = _known(table, tuple(schema.names), label, part, findings, ignored, refused)
    wanted = []
    for name in known:
        if schema.get_field_index(name) < 0:  # repeated
            refused.add(name)
            continue
        column, type_ = column_of(table, name), schema.field(name).type
        if _fits(type_, column.type):
            wanted.append(name)
        else:
            text = f"of type {escaped(str(type_))}; expected {_TYPES[column.type]}: {column.expected}"
            findings.error(label, text, place=part, column=name, kind="type")
            refused.add(name)
    if parquet:
        # Dictionaries of identifiers are smaller and quicker than text that repeats.
        repeated = [n for n in wanted if column_of(table, n).type == "identifier" and _is_text(schema.field(n).type)]
        parquet = pyarrow.parquet.ParquetFile(file, read_dictionary=repeated)
        data = parquet.read(columns=wanted)
        rows = parquet.metadata.num_rows
    else:
        index = [schema.get_field_index(name) for name in wanted]
        data = _ipc(file, index).read_all()
        rows = data.num_rows if wanted else _ipc(file).read_all().num_rows
    data.validate(full=True)  # text that is not UTF-8, offsets beyond the end
    yield part, {name: _canonical(data[name], column_of(table, name).type) for name in wanted}, rows


def column_of(table: Table, name: str) -> Column:
    """The column's schema; of history's factors, one for each kind."""
    kind = factor_kind(name) if table is HISTORY else None
    return Column(name, "number", FACTORS[kind]) if kind else table[name]


def _known(
    table: Table,
    names: tuple[str, ...],
    label: str,
    part: str,
    findings: Findings,
    ignored: list[str],
    refused: set[str],
) -> tuple[str, ...]:
    """The columns to read. Findings: one missing, repeated or misspelt (what was meant goes into `refused`)."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            findings.error(
                label, "repeated; expected one column of a name", place=part, column=name or _UNNAMED, kind="repeated"
            )
        seen.add(name)
    known = [name for name in dict.fromkeys(names) if name in table.names or (table is HISTORY and factor_kind(name))]
    absent = [name for name in table.names if name not in seen]
    hints: dict[str, str] = {}
    for name in dict.fromkeys(names):
        if name in known:
            continue
        meant = nearest(name, table.names)
        if meant is None and table is HISTORY and ":" in name:
            prefix = nearest(name.partition(":")[0], FACTORS)
            meant = prefix and f"{prefix}:{name.partition(':')[2]}"
        if meant is None:
            ignored.append(f"{name or _UNNAMED} ({part})")
        elif meant in absent and table[meant].required:
            hints.setdefault(meant, name)
        else:
            refused.add(meant)
            text = f"no column of {table.name}; did you mean {escaped(meant)}?"
            findings.error(label, text, place=part, column=name, kind="name")
    for name in absent:
        if table[name].required:
            found = f"; there is {shown(hints[name])}: names are exact and lower case" if name in hints else ""
            text = f"missing{found}; expected {table[name].expected}"
            findings.error(label, text, place=part, column=name, kind="missing")
    return tuple(known)


@contextmanager
def _reported(part: str, label: str, findings: Findings) -> Iterator[None]:
    """A file that cannot be opened or is of another format is a finding."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        findings.error(label, f"cannot be read ({escaped(reason)})", place=part, kind="file")
    except (pa.ArrowException, ValueError) as error:
        format_ = "an Arrow IPC file or stream" if part.endswith(".arrow") else "a Parquet file"
        text = f"truncated, or not {format_} ({escaped(str(error))}); expected the whole file"
        findings.error(label, text, place=part, kind="file")


def _ipc(file: Path, fields: list[int] | None = None) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    options = pa.ipc.IpcReadOptions(included_fields=fields or [])
    with file.open("rb") as start:
        magic = start.read(6)
    source = pa.OSFile(str(file))
    opened = pa.ipc.open_file if magic == b"ARROW1" else pa.ipc.open_stream
    return opened(source, options=options)


_TYPES: dict[Type, str] = {
    "identifier": "text",
    "word": "text",
    "number": "an integer, float or decimal",
    "time": "a timestamp or a date",
}


def _is_text(type_: pa.DataType) -> bool:
    string_view = getattr(pa.types, "is_string_view", lambda _: False)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or string_view(type_))


def _fits(type_: pa.DataType, wanted: Type) -> bool:
    """Whether an Arrow type is read as such; a column of nulls is of type null, and fits anything."""
    if pa.types.is_null(type_):
        return True
    if wanted == "number":
        return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))
    if wanted == "time":
        return bool(pa.types.is_timestamp(type_) or pa.types.is_date(type_))
    return _is_text(type_.value_type if pa.types.is_dictionary(type_) else type_)


def _canonical(column: pa.ChunkedArray, wanted: Type) -> pa.ChunkedArray:
    """Numbers as float64, text as string or dictionary<int32, string>; times stay as they are."""
    type_ = column.type
    if wanted == "number":
        return column.cast(pa.float64(), safe=False)
    if wanted == "time":
        return column.cast(pa.timestamp("us")) if pa.types.is_null(type_) else column
    if pa.types.is_dictionary(type_):
        return column.cast(pa.dictionary(pa.int32(), pa.string()))
    column = column.cast(pa.string())
    return column.dictionary_encode() if wanted == "identifier" else column
