"""Cells — an account's positions on one underlying — and what they hold, as the backends lay it out.

Cells are put into order by counting, which takes time in proportion to the positions, where the numbers to count are
of the order of the positions; else by sorting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cpu_reference.aggregate import Holdings
from cpu_reference.holders import FEW, SPARSE
from gpu_var.backend import Backend
from gpu_var.market.state import Underlying
from gpu_var.tables.book import F8, I4, I8, Book, rows_of


@dataclass(frozen=True)
class Cells:
    """The (account, underlying) pairs that hold something, ascending by (underlying, account)."""

    account: I4
    underlying: I4
    of_position: I8  # (n_positions with quantity ≠ 0,) cell of each, in the order of the book

    def of(self, underlying: int) -> slice:
        """Those of one underlying."""
        return rows_of(self.underlying, underlying)

    def of_all(self, underlyings: Sequence[int]) -> slice:
        """Those of underlyings between which nothing else is held, ascending."""
        return slice(self.of(underlyings[0]).start, self.of(underlyings[-1]).stop)


def cells_of(book: Book) -> Cells:
    """The cells of a book's non-zero positions."""
    instrument, quantity, account = _held(book)
    n_accounts = len(book.accounts.house)
    numbers = len(book.underlyings.spot) * n_accounts
    narrow = np.int32 if numbers <= np.iinfo(np.int32).max else np.int64
    key = book.instruments.underlying[instrument] * narrow(n_accounts) + account
    if numbers > max(FEW, SPARSE * len(quantity)):
        cell, of_position = np.unique(key, return_inverse=True)
    else:
        there = np.zeros(numbers, dtype=np.bool_)
        there[key] = True
        cell = np.flatnonzero(there)
        of_position = (np.cumsum(there) - 1)[key]
    return Cells((cell % n_accounts).astype(np.int32), (cell // n_accounts).astype(np.int32), of_position)


def holders_of(book: Book, cells: Cells, pools: Sequence[Sequence[Underlying]], backend: Backend) -> Any:
    """The backend's `Holders` of a book's non-zero positions: who holds how much of the instruments of each pool, which
    goes by its first underlying.

    Args:
        cells: of `cells_of`, or a finer division of the positions; ascending by underlying.
        pools: the underlyings to lay out, ascending, with nothing else held between those of a pool; of each, every
            instrument that is held.
    """
    instrument, quantity, _ = _held(book)
    row = np.concatenate([np.zeros(0, dtype=np.intp), *(part.row for pool in pools for part in pool)])
    place = np.full(len(book.instruments.kind), len(row), dtype=np.int32)
    place[row] = np.arange(len(row))
    n_underlyings = len(book.underlyings.spot)
    first_cell = np.searchsorted(cells.underlying, np.arange(n_underlyings + 1))
    length = np.zeros(n_underlyings, dtype=np.int64)
    for pool in pools:
        first, last = pool[0].position, pool[-1].position
        first_cell[first + 1 : last + 1] = first_cell[last + 1]
        length[first] = sum(len(part.row) for part in pool)
    first_instrument = np.concatenate([[0], np.cumsum(length)])
    return backend.Holders(cells.of_position, instrument, quantity, place, first_cell, first_instrument, backend.TILE)


def _held(book: Book) -> tuple[I4, F8, I4]:
    """Instrument, quantity and account of the positions that are not 0."""
    p = book.positions
    held = p.quantity != 0
    if held.all():
        return p.instrument, p.quantity, p.account
    return p.instrument[held], p.quantity[held], p.account[held]


def compressed(cell: I8, instrument: I8, quantity: F8) -> Holdings:
    """Compressed rows of holdings sorted by cell."""
    begin = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]])) if len(cell) else np.zeros(0, dtype=np.intp)
    return Holdings(cell[begin], np.concatenate([begin, [len(cell)]]), instrument, quantity)
