"""Tables of the page: columns once, from which both the first rows as HTML and the data to sort and filter are made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpu_var.report.money import money

Kind = Literal[
    "name", "text", "pick", "status", "standing", "holds", "money", "change", "percent", "share", "count", "number"
]
"""`pick` is a name that the reader can choose, a button where the page has a script for it."""

NUMERIC = ("money", "change", "percent", "share", "count", "number")
"""Kinds whose values are numbers: `change` with its sign, `percent` likewise of a ratio, `share` of a part of 1."""

FIRST = 25
"""Rows that stand in the page before a script runs, and those of a page of the table at first."""

_PLACES = {"percent": 1, "share": 1, "count": 0, "number": 1}


@dataclass(frozen=True, eq=False)
class Column:
    """A column: numbers with NaN for none, or text with None for none."""

    key: str
    title: str
    kind: Kind
    values: npt.NDArray[Any]
    places: int = 0  # decimal places of money and change
    choose: bool = False  # the reader may choose one of its values
    least: bool = False  # the reader may give the least value
    aside: bool = False  # left out on paper, which is not as wide

    @property
    def numeric(self) -> bool:
        return self.kind in NUMERIC

    def look(self, text: str) -> str:
        """The class of a cell, as the script has it too."""
        if self.numeric:
            return "n aside" if self.aside else "n"
        if self.kind == "standing":
            return {"safe": "", "–": "", "liquidation": "bad"}.get(text, "watch")
        if self.kind == "holds":
            return {"yes": "", "–": "", "no": "bad"}.get(text, "watch")
        return {"name": "name", "status": "" if text == "ok" else "bad"}.get(self.kind, "")

    @property
    def decimals(self) -> int:
        """Decimal places shown; a percentage is a ratio until it is shown."""
        return _PLACES.get(self.kind, self.places)


@dataclass(frozen=True, eq=False)
class Grid:
    """A table: its rows stand in the order that they are first shown in."""

    key: str
    title: str
    columns: Sequence[Column]
    sort: str = ""  # the column that they are sorted by, the largest first
    sum: str = ""  # the column that is added up over what the filter leaves

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.columns[0].values)

    @property
    def first(self) -> list[list[str]]:
        """The first rows as text."""
        return [[shown(c, c.values[row]) for c in self.columns] for row in range(min(FIRST, self.rows))]

    def top(self, keys: Sequence[str], most: int) -> list[tuple[Any, ...]]:
        """Some columns of the first rows, at most `most`, as values."""
        wanted = [next(c for c in self.columns if c.key == key).values[:most].tolist() for key in keys]
        return list(zip(*wanted, strict=True))

    @property
    def data(self) -> dict[str, Any]:
        """For the script: {sum, total, columns: [{key, title, kind, places, aside, values, words?}]}.

        Numbers are rounded to what is shown; text that repeats is given once, in `words`, and by its place there.
        """
        return {
            "sum": self.sum,
            "total": sum(float(np.nansum(c.values)) for c in self.columns if c.key == self.sum),
            "columns": [_data(column) for column in self.columns],
        }


def shown(column: Column, value: Any) -> str:
    """A value as the page shows it; the script shows it in the same way."""
    if value is None or (column.numeric and not np.isfinite(value)):
        return "–"
    if not column.numeric:
        return str(value)
    factor = 100.0 if column.kind in ("percent", "share") else 1.0
    text = money(factor * float(value), column.decimals)
    sign = "+" if column.kind in ("change", "percent") and not text.startswith("-") and text.strip("0.,") else ""
    return f"{sign}{text}{' %' if factor == 100.0 else ''}"


def _data(column: Column) -> dict[str, Any]:
    told: dict[str, Any] = {
        "key": column.key,
        "title": column.title,
        "kind": column.kind,
        "places": column.decimals,
        "aside": column.aside,
    }
    if column.numeric:
        return told | {"values": rounded(column.values, column.decimals + 2 * (column.kind in ("percent", "share")))}
    text = pa.array(column.values, pa.string()).fill_null("")
    encoded = text.dictionary_encode()
    if 2 * len(encoded.dictionary) > len(text):
        return told | {"values": text.to_pylist()}
    return told | {"words": encoded.dictionary.to_pylist(), "values": encoded.indices.to_pylist()}


def rounded(values: npt.NDArray[Any], places: int) -> list[float | int | None]:
    """Numbers as short as they are shown, None for those that are not finite."""
    exact = np.round(np.asarray(values, dtype=np.float64), places) + 0.0
    finite = np.isfinite(exact)
    if places <= 0 and np.all(np.abs(exact[finite]) < 2**53):
        whole = np.where(finite, exact, 0).astype(np.int64).tolist()
        return [number if there else None for number, there in zip(whole, finite.tolist(), strict=True)]
    return [number if there else None for number, there in zip(exact.tolist(), finite.tolist(), strict=True)]
