"""Isolated margin: every position alone, with collateral of its own."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from gpu_var.margin.measured import Measured
from gpu_var.tables.book import F8, I8, Accounts, Book, Collateral, Positions

CHUNK_BYTES = 256 << 20
"""Profit and loss of single contracts held at a time; one instrument at least."""


class Alone(NamedTuple):
    """What positions need alone, base currency; all (n_positions,)."""

    core: F8  # max(0, core)
    added: F8  # concentration, liquidity and charges

    @property
    def margin(self) -> F8:
        return np.asarray(self.core + self.added)


def unit_book(book: Book, instruments: I8) -> Book:
    """A book of single contracts: of the k-th instrument, account 2k holds one and account 2k + 1 is short one.

    The engine, which knows accounts alone, then margins every instrument by itself, bought and sold.
    """
    n = 2 * len(instruments)
    none = np.zeros(0, dtype=np.int32)
    return replace(
        book,
        accounts=Accounts(pa.array([f"{k}" for k in range(n)]), pa.nulls(n, pa.string()), np.zeros(n, dtype=np.bool_)),
        positions=Positions(
            np.arange(n, dtype=np.int32),
            np.repeat(instruments, 2).astype(np.int32),
            np.tile([1.0, -1.0], len(instruments)),
        ),
        collateral=Collateral(none, pa.array([], pa.string()), np.zeros(0)),
    )


def chunks(book: Book, instruments: I8, n_scenarios: int) -> Iterator[I8]:
    """Instruments, those of an underlying beside each other, in parts whose profit and loss fits the budget."""
    ordered = instruments[np.argsort(book.instruments.underlying[instruments], kind="stable")]
    step = max(1, CHUNK_BYTES // (4 * 8 * max(1, n_scenarios)))  # bought and sold, as an account and as a cell
    for begin in range(0, len(ordered), step):
        yield ordered[begin : begin + step]


def alone(units: Measured, charged: dict[str, F8], row: I8, size: F8) -> Alone:
    """What positions need alone, from what one contract needs.

    Core, liquidity and charges grow with the number of contracts. Concentration does not: (√(h*/h) − 1)·R, whose h*
    depends on the days that the whole position takes to unwind, is computed anew.

    Args:
        units: of a `unit_book`.
        charged: its enabled charges, (n_accounts,) each.
        row: (n_positions,) account of the unit book.
        size: (n_positions,) contracts, > 0.
    """
    cell = np.zeros(len(units.book.accounts.house), dtype=np.int64)
    cell[units.cells.account] = np.arange(len(units.cells.account))
    at, extra, h = cell[row], units.extra, float(units.config.holding_period_days)
    days = extra.days_to_unwind[at] * size
    horizon = np.where(days <= h, h, h + (days - h) / 3.0)
    risk = np.maximum(units.cell_core.amount[at], 0.0) * size
    added = (np.sqrt(horizon / h) - 1.0) * risk + (extra.liquidity_delta + extra.liquidity_vega)[at] * size
    for charge in charged.values():
        added = added + charge[row] * size
    return Alone(np.maximum(units.core.amount[row], 0.0) * size, np.asarray(added))
