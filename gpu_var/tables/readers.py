"""One table from its file or files: the columns that are known, as text (CSV) or as Arrow has them."""

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from gpu_var.tables import times
from gpu_var.tables.csv_text import CsvText, open_csv, read_csv, record_lines
from gpu_var.tables.findings import Findings, escaped, nearest, shown
from gpu_var.tables.schema import FACTORS, HISTORY, Column, Table, Type, factor_kind
from gpu_var.tables.source_files import Fetched, Part

I8 = npt.NDArray[np.int64]

_PIECE = 1 << 20  # rows that become codes at a time
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


def read_table(
    table: Table, files: tuple[Path, ...], findings: Findings, ignored: list[str], source: Fetched | None = None
) -> Raw | None:
    """The table's known columns; None, and a finding, where nothing of it can be read.

    `ignored` gets the unknown columns, for one note over all tables. `source` is given where the files come from one.
    """
    label, parts = parts_of(table, files, source)
    loaded: list[tuple[str, dict[str, pa.ChunkedArray], int]] = []
    before = findings.count
    refused: set[str] = set()
    text: CsvText | None = None
    lines: I8 | None = None
    for one in parts:
        file, part = one.path, one.name
        with _reported(part, label, findings, file.suffix):
            if not file.stat().st_size and file.suffix != ".csv":
                findings.error(label, "a file of zero bytes; expected a table", place=part, kind="empty")
            elif file.suffix == ".csv":
                text = open_csv(file, part, table.names, findings)
                if text is None:
                    continue
                known = known_columns(table, text.names, label, part, findings, ignored, refused)
                read = read_csv(text, known, findings) if known else None
                if read is not None:
                    lines = read.lines
                    loaded.append((part, read.columns, read.rows))
            else:
                loaded += _typed(table, one, label, findings, ignored, refused)
    if not loaded:
        return None
    rows = sum(count for _, _, count in loaded)
    if not rows and findings.count == before:
        findings.error(label, "empty; expected at least one row", kind="empty")
    names = [name for name in loaded[0][1] if all(name in columns for _, columns, _ in loaded)]
    names = [name for name in names if len(loaded) == 1 or _made_alike(name, loaded, label, findings, refused)]
    columns = {
        name: pa.chunked_array([c for _, part, _ in loaded for c in part[name].chunks]) for name in names if rows
    }
    ragged = lines is not None
    whole = not ragged and all(column.name in names for column in table.columns if column.required)
    counts = tuple((part, count) for part, _, count in loaded)
    return Raw(table, label, counts, columns, rows, text, lines, frozenset(refused), ragged, whole)


def parts_of(table: Table, files: tuple[Path, ...], source: Fetched | None) -> tuple[str, tuple[Part, ...]]:
    """What messages call a table, and its files."""
    if source is not None:
        return source.label, source.parts
    folder = len(files) > 1 or files[0].parent.name == table.name
    label = files[0].parent.name if folder else files[0].name
    return label, tuple(Part(file, f"{label}/{file.name}" if folder else label) for file in files)


def _made_alike(
    name: str,
    loaded: list[tuple[str, dict[str, pa.ChunkedArray], int]],
    label: str,
    findings: Findings,
    refused: set[str],
) -> bool:
    """Whether a column is of one type in all parts that have values; times alone can differ. The others become so."""
    given = [(part, columns[name].type) for part, columns, rows in loaded if columns[name].null_count < rows]
    first, wanted = given[0] if given else (loaded[0][0], loaded[0][1][name].type)
    for part, type_ in given[1:]:
        if type_ != wanted:
            text = f"of type {type_}, and {wanted} in {first}; expected one type in all parts"
            findings.error(label, text, place=part, column=name, kind="type")
            refused.add(name)
            return False
    for _, columns, rows in loaded:
        if columns[name].type != wanted:
            columns[name] = pa.chunked_array([pa.nulls(rows, wanted)])
    return True


def _typed(
    table: Table,
    one: Part,
    label: str,
    findings: Findings,
    ignored: list[str],
    refused: set[str],
) -> Iterator[tuple[str, dict[str, pa.ChunkedArray], int]]:
    """A Parquet or Arrow file's known columns, identifiers as dictionaries of text, numbers as float64."""
    file, part = one.path, one.name
    parquet = pyarrow.parquet.ParquetFile(file) if file.suffix == ".parquet" else None
    schema = parquet.schema_arrow if parquet else ipc(file).schema
    constants = dict(one.constants)
    known = known_columns(table, (*schema.names, *constants), label, part, findings, ignored, refused)
    wanted = []
    for name in known:
        if schema.get_field_index(name) < 0 or name in constants:
            if name in schema.names:  # repeated
                refused.add(name)
            continue
        column, type_ = column_of(table, name), schema.field(name).type
        if fits(type_, column.type) or (column.type == "time" and one.text_times and is_text(type_)):
            wanted.append(name)
        else:
            text = f"of type {escaped(str(type_))}; expected {TYPES[column.type]}: {column.expected}"
            findings.error(label, text, place=part, column=name, kind="type")
            refused.add(name)
    if parquet:
        # Dictionaries of identifiers are smaller and quicker than text that repeats.
        repeated = [n for n in wanted if column_of(table, n).type == "identifier" and is_text(schema.field(n).type)]
        parquet = pyarrow.parquet.ParquetFile(file, read_dictionary=repeated)
        pieces: Iterable[pa.Table] = [parquet.read(columns=wanted)]
        rows = parquet.metadata.num_rows
    else:
        pieces = _pieces(ipc(file, [schema.get_field_index(name) for name in wanted]))
        rows = 0 if wanted else ipc(file).read_all().num_rows
    chunks: dict[str, list[pa.ChunkedArray]] = {name: [] for name in wanted}
    for piece in pieces:
        piece.validate(full=True)  # text that is not UTF-8, offsets beyond the end
        for name in wanted:
            chunks[name].append(canonical(piece[name], column_of(table, name).type))
    columns = {
        name: pa.chunked_array([c for one in some for c in one.chunks], some[0].type) for name, some in chunks.items()
    }
    if wanted:
        rows = len(columns[wanted[0]])
    for name in known:
        if name in constants and name not in schema.names:
            columns[name] = constant(constants[name], rows, column_of(table, name).type)
    yield part, columns, rows


def column_of(table: Table, name: str) -> Column:
    """The column's schema; of history's factors, one for each kind."""
    kind = factor_kind(name) if table is HISTORY else None
    return Column(name, "number", FACTORS[kind]) if kind else table[name]


def known_columns(
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
def _reported(part: str, label: str, findings: Findings, suffix: str) -> Iterator[None]:
    """A file that cannot be opened or is of another format is a finding."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        findings.error(label, f"cannot be read ({escaped(reason)})", place=part, kind="file")
    except (pa.ArrowException, ValueError) as error:
        format_ = "an Arrow IPC file or stream" if suffix == ".arrow" else "a Parquet file"
        text = f"truncated, or not {format_} ({escaped(str(error))}); expected the whole file"
        findings.error(label, text, place=part, kind="file")


def record_batches(reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader) -> Iterator[pa.RecordBatch]:
    """The batches of a file or stream."""
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        yield from map(reader.get_batch, range(reader.num_record_batches))
    else:
        yield from reader


def _pieces(reader: pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader) -> Iterator[pa.Table]:
    """The rows in tables of one chunk each, lest text is held that has become codes; the last may have none."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in record_batches(reader):
        held.append(batch)
        count += batch.num_rows
        if count >= _PIECE:
            yield pa.Table.from_batches(held).combine_chunks()
            held, count = [], 0
    yield pa.Table.from_batches(held, reader.schema).combine_chunks()


def ipc(file: Path, fields: list[int] | None = None) -> pa.ipc.RecordBatchFileReader | pa.ipc.RecordBatchStreamReader:
    """An Arrow IPC file or stream, of which the columns at those places are read."""
    options = pa.ipc.IpcReadOptions(included_fields=fields or [])
    with file.open("rb") as start:
        magic = start.read(6)
    source = pa.OSFile(str(file))
    opened = pa.ipc.open_file if magic == b"ARROW1" else pa.ipc.open_stream
    return opened(source, options=options)


TYPES: dict[Type, str] = {
    "identifier": "text",
    "word": "text",
    "number": "an integer, float or decimal",
    "time": "a timestamp or a date",
}


def is_text(type_: pa.DataType) -> bool:
    """Whether an Arrow type is text of any kind, dictionaries aside."""
    string_view = getattr(pa.types, "is_string_view", lambda _: False)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or string_view(type_))


def fits(type_: pa.DataType, wanted: Type) -> bool:
    """Whether an Arrow type is read as such; a column of nulls is of type null, and fits anything."""
    if pa.types.is_null(type_):
        return True
    if wanted == "number":
        return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))
    if wanted == "time":
        return bool(pa.types.is_timestamp(type_) or pa.types.is_date(type_))
    return is_text(type_.value_type if pa.types.is_dictionary(type_) else type_)


def canonical(column: pa.ChunkedArray, wanted: Type) -> pa.ChunkedArray:
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


def constant(text: str, rows: int, wanted: Type) -> pa.ChunkedArray:
    """A column of one value, which stands as text in a folder's name; an empty one is null. As `canonical`, but for
    numbers and times that are none, which stay text.
    """
    array = pa.array([text or None], pa.string())
    if wanted == "time":
        value, good = times.from_text(array)
        array = pa.array(value, pa.timestamp("us")) if good.all() else array
    elif wanted == "number":
        with contextlib.suppress(pa.ArrowInvalid):
            array = array.cast(pa.float64())
    column = pa.chunked_array([pa.repeat(array[0], rows)])
    return column.dictionary_encode() if wanted == "identifier" else column
