"""The columns of one table as arrays; every value that does not belong there becomes a finding."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.tables import times
from gpu_var.tables.findings import PER_KIND, Findings, nearest, shown
from gpu_var.tables.readers import Raw, column_of

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
I4 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

IDENTIFIER_BYTES = 1_000
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_NOT_FINITE = r"(?i)^[+-]?(?:nan|inf|infinity)$"
_COMMAS = r"^[+-]?\d+(?:[.,]\d+)*,\d+$"


@dataclass(frozen=True)
class Identifiers:
    """A column of identifiers: a code a row, −1 where there is none, and what each code stands for."""

    code: I4
    value: pa.StringArray

    def rows_in(self, names: pa.StringArray) -> I4:
        """Each row's place among `names`; −1 where it is not there or has no identifier."""
        place = np.asarray(pc.index_in(self.value, names, skip_nulls=True).fill_null(-1), dtype=np.int32)
        return np.append(place, np.int32(-1))[self.code]

    def used(self) -> pa.StringArray:
        """Those that some row has, in the order of the codes."""
        some = np.zeros(len(self.value) + 1, np.bool_)
        some[self.code] = True
        return self.value.filter(pa.array(some[:-1]))

    def names(self) -> pa.StringArray:
        """The identifier of each row."""
        return self.value.take(pa.array(self.code, mask=self.code < 0))


class Columns:
    """The columns of one table. `bad` holds, by column, the rows whose value was refused."""

    def __init__(self, raw: Raw, findings: Findings) -> None:
        self.raw = raw
        self.rows = raw.rows
        self.bad: dict[str, Bool] = {}
        self._findings = findings
        self._identifiers: dict[str, Identifiers] = {}

    def __contains__(self, column: str) -> bool:
        return column in self.raw.columns

    def report(self, column: str, kind: str, wrong: Bool, text: Callable[[int], str]) -> None:
        """A finding for each row that is wrong; ``text(row)`` says what is and what was expected."""
        rows = np.flatnonzero(wrong)
        if not len(rows):
            return
        self.bad[column] = self.bad.get(column, np.zeros(self.rows, np.bool_)) | wrong
        first = rows[:PER_KIND]
        places = self.raw.places(first)
        self._findings.errors_at(
            self.raw.label, places, lambda i: text(int(first[i])), column=column, kind=kind, count=len(rows)
        )

    def place(self, row: int) -> str:
        """Where a row stands, without the file's name: `line 17`."""
        return self.raw.places(np.array([row]))[0].removeprefix(f"{self.raw.label} ")

    def shown(self, column: str, row: int) -> str:
        """A value as messages show it."""
        value = self.raw.columns[column][row]
        if pa.types.is_temporal(value.type):  # it may be beyond what Python's datetime holds
            return f"{value.cast(pa.int64()).as_py()} of type {value.type}"
        return shown(value.as_py())

    def given(self, column: str) -> Bool:
        """The rows where there is a value, good or bad."""
        if column not in self:
            return np.zeros(self.rows, np.bool_)
        return np.asarray(self.raw.columns[column].is_valid())

    def _missing(self, column: str, given: Bool) -> None:
        schema = column_of(self.raw.table, column)
        if schema.required:
            empty = "empty" if self.raw.csv else "null"
            self.report(column, "null", ~given, lambda _: f"{empty}; expected {schema.expected}")

    def numbers(self, column: str) -> F8:
        """The numbers, the default where null; NaN where there is none or it was refused."""
        schema = column_of(self.raw.table, column)
        if column not in self:
            return np.full(self.rows, schema.default)
        given = self.given(column)
        self._missing(column, given)
        array = self.raw.columns[column]
        if pa.types.is_floating(array.type):
            value, number = np.asarray(array.fill_null(0.0), dtype=np.float64), given
        else:
            value, number = _parsed(array)
            self.report(column, "type", given & ~number, lambda row: self._not_a_number(column, row))
        finite = number & np.isfinite(value)
        rule = f"expected {schema.expected}"
        self.report(column, "finite", number & ~finite, lambda row: f"{self._bare(column, row)} is not finite; {rule}")
        value = np.where(finite, value, np.where(given, np.nan, schema.default))
        if schema.sign != "any":
            low = finite & ((value <= 0) if schema.sign == "positive" else (value < 0))
            self.refuse_sign(column, low)
            value[low] = np.nan
        return value

    def refuse_sign(self, column: str, low: Bool) -> None:
        """Findings for numbers that are zero or negative where they may not be."""
        schema = column_of(self.raw.table, column)
        word = "negative" if schema.sign == "not negative" else "not positive"
        self.report(column, "sign", low, lambda row: f"{self._bare(column, row)} is {word}; expected {schema.expected}")

    def _bare(self, column: str, row: int) -> str:
        return self.shown(column, row).strip("'")

    def _not_a_number(self, column: str, row: int) -> str:
        text = self.raw.columns[column][row].as_py()
        commas = pc.match_substring_regex(pa.array([text]), _COMMAS)[0].as_py()
        hint = " (a decimal point is expected, and no separator of thousands)" if commas else ""
        return f"{shown(text)} is not a number{hint}; expected {column_of(self.raw.table, column).expected}"

    def times(self, column: str) -> I8:
        """Microseconds since 1970 UTC; `times.NO_TIME` where there is none or it was refused."""
        schema = column_of(self.raw.table, column)
        if column not in self:
            return np.full(self.rows, times.NO_TIME)
        given = self.given(column)
        self._missing(column, given)
        array = self.raw.columns[column].combine_chunks()
        if pa.types.is_string(array.type):
            repeated = array.dictionary_encode()  # dates repeat
            value, good = times.from_text(repeated.dictionary)
            code = np.asarray(repeated.indices.fill_null(-1))
            value, good = np.append(value, times.NO_TIME)[code], np.append(good, False)[code]
        else:
            value, good = times.from_arrow(array)
        rule = f"expected {schema.expected}"
        self.report(column, "type", given & ~good, lambda row: f"{self.shown(column, row)} is not a time; {rule}")
        return value

    def words(self, column: str) -> npt.NDArray[np.int8]:
        """Each row's word, as its place in the schema's list; −1 where there is none or it was refused."""
        schema = column_of(self.raw.table, column)
        default = 0 if schema.has_default and column not in self.raw.refused else -1
        if column not in self:
            return np.full(self.rows, default, np.int8)
        text = _text(self.raw.columns[column])
        given = np.asarray(pc.not_equal(text, "").fill_null(False))
        self._missing(column, given)
        code = np.asarray(pc.index_in(text, pa.array(schema.words, text.type)).fill_null(-1), dtype=np.int8)

        def unknown(row: int) -> str:
            meant = nearest(text[row].as_py(), schema.words)
            hint = f" (did you mean '{meant}'?)" if meant else ""
            return f"{shown(text[row].as_py())} is not known{hint}; expected {schema.expected}"

        self.report(column, "word", given & (code < 0), unknown)
        return np.where(given, code, np.int8(default))

    def identifiers(self, column: str) -> Identifiers:
        """The identifiers, byte for byte."""
        if column not in self._identifiers:
            self._identifiers[column] = self._read_identifiers(column)
        return self._identifiers[column]

    def _read_identifiers(self, column: str) -> Identifiers:
        if column not in self:
            return Identifiers(np.full(self.rows, -1, np.int32), pa.array([], pa.string()))
        array = self.raw.columns[column]
        if not pa.types.is_dictionary(array.type):
            # In one piece: to unify the dictionaries of many pieces costs more than to make one.
            encoded = array.combine_chunks().dictionary_encode()
            array = encoded if isinstance(encoded, pa.ChunkedArray) else pa.chunked_array([encoded])
        array = array.unify_dictionaries().combine_chunks()
        value = array.dictionary.cast(pa.string())
        code = np.asarray(array.indices.fill_null(-1), dtype=np.int32)
        length = np.asarray(pc.binary_length(value).fill_null(0))
        control = np.asarray(pc.match_substring_regex(value, r"\p{Cc}").fill_null(False))
        given = np.append(length > 0, False)[code]
        self._missing(column, given)
        far, odd = np.append(length > IDENTIFIER_BYTES, False), np.append(control, False)
        rule = f"expected at most {IDENTIFIER_BYTES:,} bytes"
        if far.any():
            many = np.append(length, 0)
            self.report(
                column,
                "long",
                far[code],
                lambda row: f"{shown(value[code[row]].as_py())} has {many[code[row]]:,} bytes; {rule}",
            )
        if odd.any():
            self.report(
                column,
                "control",
                odd[code],
                lambda row: f"{shown(value[code[row]].as_py())} holds a control character; expected text without",
            )
        return Identifiers(np.where(given, code, np.int32(-1)), value)

    def unique(self, column: str, keys: tuple[npt.NDArray[Any], ...], known: Bool, text: Callable[[int], str]) -> None:
        """Findings for rows whose key stood in an earlier row; `known` rows have a key, ``text(row)`` words it."""
        rows = np.flatnonzero(known)
        order = rows[np.lexsort(tuple(key[rows] for key in reversed(keys)))]
        if len(order) < 2:
            return
        same = np.logical_and.reduce([key[order[1:]] == key[order[:-1]] for key in keys])
        if not same.any():
            return
        # lexsort is stable: the first of a group of equal keys is the first in the table.
        start = np.maximum.accumulate(np.where(np.append(False, same), 0, np.arange(len(order))))
        first = np.zeros(self.rows, np.int64)
        first[order] = order[start]
        again = np.zeros(self.rows, np.bool_)
        again[order[1:][same]] = True
        self.report(
            column,
            "duplicate",
            again,
            lambda row: f"{text(row)} stands on {self.place(int(first[row]))} already; expected one row a key",
        )


def _text(array: pa.ChunkedArray) -> pa.ChunkedArray:
    return array.cast(pa.string())


def _parsed(array: pa.ChunkedArray) -> tuple[F8, Bool]:
    """(value, number) of texts: plain decimal or scientific, or NaN and infinity as they are spelt."""
    try:
        value = array.cast(pa.float64())
        return np.asarray(value.fill_null(0.0), dtype=np.float64), np.asarray(array.is_valid())
    except pa.ArrowInvalid:
        plain = pc.or_(pc.match_substring_regex(array, _NUMBER), pc.match_substring_regex(array, _NOT_FINITE))
        number = np.asarray(plain.fill_null(False))
        text = pc.if_else(pa.chunked_array([number]), array, "0")
        return np.asarray(text.to_numpy(zero_copy_only=False), dtype=np.object_).astype(np.float64), number
