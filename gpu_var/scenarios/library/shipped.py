"""The scenarios that ship, as columns: `data/README.md` says where each file comes from and what it means."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

import numpy as np
import pyarrow as pa

from gpu_var.tables.book import F8, I8, Bool

FAMILIES = ("history", "frb", "grid")
"""How the names of the library's scenarios begin."""

SPOTS, VOLATILITIES = "spot:*", "iv:*"
"""The factors of the grid: all spots with their forwards, and all implied volatilities."""

POINTS = ("UST3M", "UST5Y", "UST10Y", "BBB")
"""Yields. Their moves are differences, in the files of per cent points."""

DOLLARS = ("WTI_USD",)
"""Moves in dollars, of a price that may fall below zero."""

GRID_SPOT = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)
GRID_VOLATILITY = (-0.3, 0.0, 0.3, 0.6, 1.0)

_KEYS = ("name", "of", "step", "from", "to", "source")


@dataclass(frozen=True)
class Library:
    """n scenarios of K factors of the library's own; all but `factor` and `difference` are by scenario."""

    factor: tuple[str, ...]  # (K,)
    difference: Bool  # (K,): the moves are differences, of yields in decimals, else relative changes
    name: tuple[str, ...]
    family: tuple[str, ...]  # of `FAMILIES`
    of: tuple[str, ...]  # the sequence it is a step of, else its own name
    step: I8  # from 1; a step's move holds those before it
    begin: tuple[str, ...]  # day or quarter that the move starts from, empty for the grid
    end: tuple[str, ...]
    source: tuple[str, ...]
    move: F8  # (n, K), NaN where there is none

    @property
    def proxies(self) -> tuple[str, ...]:
        """The factors that may stand for one of a book."""
        return tuple(name for name in self.factor if name not in (*DOLLARS, SPOTS, VOLATILITIES))

    @property
    def dated_source(self) -> tuple[str, ...]:
        """The source with its days."""
        spans = (
            begin if begin == end else f"{begin} to {end}" for begin, end in zip(self.begin, self.end, strict=True)
        )
        return tuple(f"{source}, {span}" if span else source for source, span in zip(self.source, spans, strict=True))

    def column(self, factor: str) -> int:
        """The column of a factor."""
        return self.factor.index(factor)

    def take(self, rows: Sequence[int]) -> "Library":
        """Some of the scenarios."""
        kept = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("factor", "difference"):
                kept[field.name] = value
            else:
                kept[field.name] = value[rows] if isinstance(value, np.ndarray) else tuple(value[row] for row in rows)
        return Library(**kept)


@cache
def library() -> Library:
    """All scenarios that ship. Its arrays are shared, and cannot be written to."""
    rows = [*_rows("history.csv"), *_rows("frb.csv"), *_grid()]
    names = [name for row in rows for name in row if name not in _KEYS]
    factor = tuple(dict.fromkeys(names))
    move = np.array([[float(row.get(name) or "nan") for name in factor] for row in rows])
    move[:, [name in POINTS for name in factor]] /= 100.0
    difference = np.array([name in POINTS + DOLLARS for name in factor], np.bool_)
    for shared in (move, difference):
        shared.setflags(write=False)
    return Library(
        factor,
        difference,
        tuple(row["name"] for row in rows),
        tuple(row["name"].partition(":")[0] for row in rows),
        tuple(row["of"] for row in rows),
        np.array([int(row["step"]) for row in rows], np.int64),
        tuple(row["from"] for row in rows),
        tuple(row["to"] for row in rows),
        tuple(row["source"] for row in rows),
        move,
    )


def _rows(name: str) -> list[dict[str, str]]:
    text = (files(__package__) / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _grid() -> list[dict[str, str]]:
    """Every spot, with its forwards, and every implied volatility moved alike; no move at all left out."""
    out = []
    for spot in GRID_SPOT:
        for volatility in GRID_VOLATILITY:
            if spot or volatility:
                name = f"grid:spot{100 * spot:+.0f}:vol{100 * volatility:+.0f}"
                words = f"spots {100 * spot:+.0f} %, implied volatilities {100 * volatility:+.0f} %"
                row = {"name": name, "of": name, "step": "1", "from": "", "to": "", "source": f"hypothetical: {words}"}
                out.append(row | {SPOTS: str(spot), VOLATILITIES: str(volatility)})
    return out


def library_table() -> pa.Table:
    """The library as a table, a row a scenario: name, family, from, to, source, then the move of every factor.

    Moves are relative changes, those of yields differences in decimals (0.01 is a per cent point); null: no move known.
    """
    shipped = library()
    columns = {
        "name": pa.array(shipped.name),
        "family": pa.array(shipped.family),
        "from": pa.array([day or None for day in shipped.begin], pa.string()),
        "to": pa.array([day or None for day in shipped.end], pa.string()),
        "source": pa.array(shipped.source),
    }
    moves = {
        name: pa.array(column, from_pandas=True) for name, column in zip(shipped.factor, shipped.move.T, strict=True)
    }
    return pa.table(columns | moves)
