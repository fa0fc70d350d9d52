"""Cells — an account's positions on one underlying — and what they hold, laid out for the loop over tiles.

Both are put into order by counting, which takes time in proportion to the positions, where the numbers to count are of
the order of the positions; else by sorting.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from cpu_reference.aggregate import Holdings
from gpu_var.market.state import Underlying
from gpu_var.tables.book import F8, I4, I8, Book

Integers = npt.NDArray[np.integer]

_SPARSE = 8
"""Numbers to count, for each position, above which sorting takes less time or memory."""

_FEW = 4096
"""Positions below which sorting takes less time than the preparations of counting."""


@dataclass(frozen=True)
class Cells:
    """The (account, underlying) pairs that hold something, ascending by (underlying, account)."""

    account: I4
    underlying: I4
    of_position: I8  # (n_positions with quantity ≠ 0,) cell of each, in the order of the book


def cells_of(book: Book) -> Cells:
    """The cells of a book's non-zero positions."""
    instrument, quantity, account = _held(book)
    n_accounts = len(book.accounts.house)
    numbers = len(book.underlyings.spot) * n_accounts
    narrow = np.int32 if numbers <= np.iinfo(np.int32).max else np.int64
    key = book.instruments.underlying[instrument] * narrow(n_accounts) + account
    if numbers > max(_FEW, _SPARSE * len(quantity)):
        cell, of_position = np.unique(key, return_inverse=True)
    else:
        there = np.zeros(numbers, dtype=np.bool_)
        there[key] = True
        cell = np.flatnonzero(there)
        of_position = (np.cumsum(there) - 1)[key]
    return Cells((cell % n_accounts).astype(np.int32), (cell // n_accounts).astype(np.int32), of_position)


class Held(NamedTuple):
    """Who holds how much of an underlying's instruments, tile by tile."""

    holdings: Holdings  # cells counted within the underlying, instruments within their tile
    first: I8  # (n_tiles + 1,): row of `holdings` where each tile begins


class Holders:
    """Who holds how much of each underlying's instruments, laid out for tiles of them one underlying at a time.

    Args:
        cells: of `cells_of`, or a finer division of the positions; ascending by underlying.
        parts: the underlyings held.
        size: instruments of a tile.
    """

    def __init__(self, book: Book, cells: Cells, parts: list[Underlying], size: int) -> None:
        instrument, quantity, _ = _held(book)
        place = np.zeros(len(book.instruments.kind), dtype=np.int32)
        for part in parts:
            place[part.row] = np.arange(len(part.row))
        self._size = size
        self._first_cell = np.searchsorted(cells.underlying, np.arange(len(book.underlyings.spot) + 1))
        # An underlying's cells stand together, and what it takes from here on stays within a core's cache.
        self._begin, self._place, self._quantity = _by_row(
            cells.of_position, place[instrument], quantity, len(cells.account)
        )

    def of(self, part: Underlying) -> Held:
        """An underlying's; within a tile, ascending by cell, then by instrument."""
        cells = slice(*self._first_cell[part.position : part.position + 2].tolist())
        begin = self._begin[cells.start : cells.stop + 1]
        own = slice(int(begin[0]), int(begin[-1]))
        cell = np.repeat(np.arange(len(begin) - 1, dtype=np.int32), np.diff(begin))
        n_tiles = -(-len(part.row) // self._size)
        return _tiled(self._place[own], cell, self._quantity[own], n_tiles, len(begin) - 1, self._size)


def _held(book: Book) -> tuple[I4, F8, I4]:
    """Instrument, quantity and account of the positions that are not 0."""
    p = book.positions
    held = p.quantity != 0
    if held.all():
        return p.instrument, p.quantity, p.account
    return p.instrument[held], p.quantity[held], p.account[held]


def _counted(rows: Integers, columns: Integers, values: F8, shape: tuple[int, int]) -> coo_array:
    """A sparse matrix whose conversions put entries into order by counting; two in one place stay two."""
    matrix = coo_array((values, (rows, columns)), shape=shape)
    matrix.has_canonical_format = True
    return matrix


def _by_row(rows: I8, columns: Integers, values: F8, n_rows: int) -> tuple[Integers, Integers, F8]:
    """Where each row begins (n_rows + 1,), and the columns and values row after row, otherwise in the order given."""
    if len(rows) < _FEW or n_rows > _SPARSE * len(rows):
        order = np.argsort(rows, kind="stable")
        return np.searchsorted(rows[order], np.arange(n_rows + 1)), columns[order], values[order]
    matrix = _counted(rows, columns, values, (n_rows, int(columns.max()) + 1)).tocsr()
    return matrix.indptr, matrix.indices, matrix.data


def _tiled(at: Integers, cell: Integers, quantity: F8, n_tiles: int, n_cells: int, size: int) -> Held:
    """One underlying's holdings in order by (tile, cell, instrument)."""
    rows = n_tiles * n_cells
    narrow = np.int32 if rows * size <= np.iinfo(np.int32).max else np.int64
    tile = at // size
    row: Integers = tile * narrow(n_cells) + cell
    instrument: Integers = at - tile * size
    touched: Integers
    start: Integers
    if len(at) >= _FEW and rows <= _SPARSE * len(at):
        # Columns first, so that the rows' are ascending.
        matrix = _counted(row, instrument, quantity, (rows, size)).tocsc().tocsr()
        touched = np.flatnonzero(np.diff(matrix.indptr))
        start = np.append(matrix.indptr[touched], matrix.indptr[-1:])
        instrument, quantity = matrix.indices, matrix.data
    else:
        order = np.argsort(row * narrow(size) + instrument, kind="stable")
        row, instrument, quantity = row[order], instrument[order], quantity[order]
        begin = np.flatnonzero(np.diff(row, prepend=-1))
        touched, start = row[begin], np.append(begin, len(row))
    first = np.searchsorted(touched, np.arange(n_tiles + 1) * n_cells)
    of_tile = np.repeat(np.arange(n_tiles) * n_cells, np.diff(first))
    return Held(Holdings(touched - of_tile, start, instrument, quantity), first)


def compressed(cell: I8, instrument: I8, quantity: F8) -> Holdings:
    """Compressed rows of holdings sorted by cell."""
    begin = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]])) if len(cell) else np.zeros(0, dtype=np.intp)
    return Holdings(cell[begin], np.concatenate([begin, [len(cell)]]), instrument, quantity)
