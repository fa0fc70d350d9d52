"""CSV as bytes: what makes a file no CSV of ours, its header, and the line on which each record begins."""

import codecs
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from gpu_var.tables.findings import Findings, escaped, listed

I8 = npt.NDArray[np.int64]

_LF, _CR, _QUOTE, _COMMA = 10, 13, 34, 44
_BLOCK = 1 << 24
_SEPARATORS = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar", " ": "a space"}


@dataclass(frozen=True)
class CsvText:
    """A CSV file that can be read: UTF-8, LF or CRLF, quotes as RFC 4180 has them, and a header."""

    label: str
    data: bytes
    start: int  # of the first byte after the header
    names: tuple[str, ...]
    quoted: bool


@dataclass(frozen=True)
class Records:
    """The records after the header that are not blank."""

    line: I8  # the line of the file on which each begins, from 1
    fields: I8  # how many fields each has


def open_csv(path: Path, label: str, known: tuple[str, ...], findings: Findings) -> CsvText | None:
    """The file's text and header; None, and a finding, where it cannot be read.

    The `known` names tell a wrong separator.
    """
    data = path.read_bytes()
    if not _is_text(data, label, findings):
        return None
    quotes = np.flatnonzero(np.frombuffer(data, np.uint8) == _QUOTE) if b'"' in data else np.zeros(0, np.int64)
    stray = _stray_quote(data, quotes)
    if stray is not None:
        text = "a quotation mark that RFC 4180 does not allow, or that is never closed; expected whole fields in "
        findings.error(label, f'{text}"…", and "" within them', place=f"{label} line {_line_of(data, stray)}")
        return None
    begin = 3 if data.startswith(codecs.BOM_UTF8) else 0
    while begin < len(data) and data[begin] in (_LF, _CR):  # blank lines before the header
        begin += 1
    end = data.find(b"\n", begin)
    while end >= 0 and np.searchsorted(quotes, end) % 2:
        end = data.find(b"\n", end + 1)
    stop = len(data) if end < 0 else end
    header = data[begin:stop].decode().removesuffix("\r")
    if not header:
        findings.error(label, "empty; expected a header and at least one row", kind="empty")
        return None
    names = _fields(header)
    separator = _separator(header, names, known)
    if separator:
        text = f"fields are separated by {_SEPARATORS[separator]} ({separator!r}); expected commas, and decimal points"
        findings.error(label, text, place=f"{label} line {_line_of(data, begin)}")
        return None
    return CsvText(label, data, min(stop + 1, len(data)), names, bool(len(quotes)))


@dataclass(frozen=True)
class CsvColumns:
    """What was read: text with null for an empty field."""

    columns: dict[str, pa.ChunkedArray]
    rows: int
    lines: I8 | None  # of the rows, where they had to be found


def read_csv(text: CsvText, wanted: tuple[str, ...], findings: Findings) -> CsvColumns | None:
    """The wanted columns, all of them as text.

    A row with too many or too few fields is a finding and is left out.
    """
    ragged = False

    def skip(_row: object) -> str:
        nonlocal ragged
        ragged = True
        return "skip"

    # Names may be empty or unknown: the columns are numbered while Arrow reads them.
    index = {name: str(i) for i, name in enumerate(text.names)}
    numbers = [index[name] for name in wanted]
    body = pa.py_buffer(text.data).slice(text.start)
    table = pa.table({number: pa.array([], pa.string()) for number in numbers})
    for block in (_BLOCK, len(text.data) + 1):  # the second where a row is longer than a block
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(body),
                pyarrow.csv.ReadOptions(column_names=[str(i) for i in range(len(text.names))], block_size=block),
                pyarrow.csv.ParseOptions(newlines_in_values=text.quoted, invalid_row_handler=skip),
                pyarrow.csv.ConvertOptions(
                    column_types={number: pa.string() for number in numbers},
                    include_columns=numbers or ["0"],
                    null_values=[""],
                    strings_can_be_null=True,
                    check_utf8=False,
                ),
            )
            break
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                break
            if block > _BLOCK or len(text.data) <= _BLOCK:
                findings.error(text.label, f"cannot be read as CSV ({escaped(str(error))})")
                return None
    columns = {name: table[index[name]] for name in wanted}
    if not ragged:
        return CsvColumns(columns, table.num_rows, None)
    records = record_lines(text)
    wrong = np.flatnonzero(records.fields != len(text.names))
    rule = f"expected {len(text.names)} ({listed(text.names)}); commas within a field need quotation marks"

    def found(i: int) -> str:
        count = int(records.fields[wrong[i]])
        return f"{count} field{'' if count == 1 else 's'}; {rule}"

    places = [f"{text.label} line {line}" for line in records.line[wrong[:10]]]
    findings.errors_at(text.label, places, found, kind="fields", count=len(wrong))
    good = records.fields == len(text.names)
    return CsvColumns(columns, table.num_rows, records.line[good])


def record_lines(text: CsvText) -> Records:
    """The lines and numbers of fields of the records after the header. Slow: for messages only."""
    data = np.frombuffer(text.data, np.uint8)
    quotes = np.flatnonzero(data == _QUOTE)
    lines = np.flatnonzero(data == _LF)
    ends = _outside(quotes, lines)
    if not len(ends) or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    begins = np.concatenate([[0], ends[:-1] + 1])
    commas = _outside(quotes, np.flatnonzero(data == _COMMA))
    length = ends - begins
    blank = (length == 0) | ((length == 1) & (data[np.minimum(begins, len(data) - 1)] == _CR))
    use = (begins >= text.start) & ~blank
    begins, ends = begins[use], ends[use]
    fields = np.searchsorted(commas, ends) - np.searchsorted(commas, begins) + 1
    return Records(np.searchsorted(lines, begins) + 1, fields)


def _outside(quotes: I8, positions: I8) -> I8:
    """Those positions that stand in no quoted field."""
    return positions[np.searchsorted(quotes, positions) % 2 == 0] if len(quotes) else positions


def _fields(header: str) -> tuple[str, ...]:
    return tuple(next(csv.reader([header], lineterminator="\n")))


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _is_text(data: bytes, label: str, findings: Findings) -> bool:
    """Whether the bytes are UTF-8 without zero bytes, in lines that end in LF or CRLF."""
    if not data:
        findings.error(label, "a file of zero bytes; expected a header and at least one row", kind="empty")
        return False
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = 0
    try:
        for at in range(0, len(data), _BLOCK):
            decoder.decode(data[at : at + _BLOCK])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        # The decoder had kept the first bytes of a character that spans two blocks.
        at += error.start - (len(error.object) - len(data[at : at + _BLOCK]) if error.object else 0)
        at = min(max(at, 0), len(data) - 1)
        text = f"byte {at + 1:,} (0x{data[at]:02x}) is not UTF-8; expected text in UTF-8"
        findings.error(label, text, place=f"{label} line {_line_of(data, at)}")
        return False
    zero = data.find(b"\0")
    if zero >= 0:
        text = f"byte {zero + 1:,} is a zero byte; expected text in UTF-8"
        findings.error(label, text, place=f"{label} line {_line_of(data, zero)}")
        return False
    if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
        returns = np.flatnonzero(np.frombuffer(data + b"\0", np.uint8) == _CR)
        lone = int(returns[np.frombuffer(data + b"\0", np.uint8)[returns + 1] != _LF][0])
        text = "a carriage return without a line feed; expected lines that end in LF or CRLF"
        findings.error(label, text, place=f"{label} line {_line_of(data, lone)}")
        return False
    return True


def _stray_quote(data: bytes, quotes: I8) -> int | None:
    """The first quotation mark that neither opens nor closes a field nor is doubled within one; None where none is."""
    if not len(quotes):
        return None
    edge = np.frombuffer(b"\n" + data.removeprefix(codecs.BOM_UTF8).rjust(len(data), b"\n") + b"\n", np.uint8)
    opening, closing = quotes[0::2], quotes[1::2]
    before, after = edge[opening], edge[closing + 2]
    doubled = np.append(False, opening[1:] == closing[: len(opening) - 1] + 1)
    wrong_open = opening[~doubled & ~np.isin(before, (_LF, _COMMA))]
    wrong_close = closing[~np.isin(after, (_LF, _CR, _COMMA, _QUOTE))]
    unclosed = quotes[-1:] if len(quotes) % 2 else quotes[:0]
    wrong = np.concatenate([wrong_open, wrong_close, unclosed])
    return int(wrong.min()) if len(wrong) else None


def _separator(header: str, names: tuple[str, ...], known: tuple[str, ...]) -> str | None:
    """The separator that splits the header into more known names than the comma does."""
    hits = sum(name in known for name in names)
    for separator in _SEPARATORS:
        if sum(name.strip('"') in known for name in header.split(separator)) > hits:
            return separator
    return None
