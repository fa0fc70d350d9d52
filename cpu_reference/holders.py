"""Who holds how much of each underlying's instruments, laid out for the loop over tiles.

Positions are put into order by counting, which takes time in proportion to the positions, where the numbers to count
are of the order of the positions; else by sorting.
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from cpu_reference.aggregate import Holdings
from cpu_reference.types import F8, I8

Integers = npt.NDArray[np.integer]

SPARSE = 8
"""Numbers to count, for each position, above which sorting takes less time or memory."""

FEW = 4096
"""Positions below which sorting takes less time than the preparations of counting."""


class Holders:
    """Who holds how much of each underlying's instruments, in tiles of them.

    Cells, and the instruments that are laid out, are counted over all underlyings, each underlying's together; an
    underlying may have neither.

    Args:
        cell: (n_positions,) cell of each position.
        instrument: (n_positions,) instrument of each position, a row of `place`.
        quantity: (n_positions,) signed contracts; where an instrument occurs twice in a cell, both stay, in the order
            given.
        place: (n_instruments,) place of each instrument among those that are laid out, an underlying's in the order
            in which it is revalued; `first_instrument[-1]` for an instrument that is not laid out.
        first_cell: (n_underlyings + 1,) where each underlying's cells begin; ascending from 0.
        first_instrument: (n_underlyings + 1,) where each underlying's instruments begin; ascending from 0.
        size: instruments of a tile.

    Raises:
        ValueError: columns of different lengths.
    """

    def __init__(
        self,
        cell: Integers,
        instrument: Integers,
        quantity: F8,
        place: Integers,
        first_cell: Integers,
        first_instrument: Integers,
        size: int,
    ) -> None:
        check_positions(cell, instrument, quantity)
        self._first_cell, self._first_instrument = first_cell.tolist(), first_instrument.tolist()
        self._size = size
        # An underlying's cells stand together, and what it takes from here on stays within a core's cache.
        self._begin, self._place, self._quantity = _by_row(cell, place[instrument], quantity, self._first_cell[-1])

    def of(self, underlying: int) -> list[Holdings]:
        """An underlying's, of each of its tiles: cells counted within the underlying, instruments within the tile.

        Within a tile, ascending by cell, then by instrument.

        Raises:
            ValueError: a position in the underlying's cells whose instrument is not among its own.
        """
        begin = self._begin[self._first_cell[underlying] : self._first_cell[underlying + 1] + 1]
        first, last = self._first_instrument[underlying : underlying + 2]
        if first == last:
            return []
        own = slice(int(begin[0]), int(begin[-1]))
        at = self._place[own] - first
        if at.size and not 0 <= at.min() <= at.max() < last - first:
            raise ValueError(f"cells of underlying {underlying} {STRAYED}")
        cell = np.repeat(np.arange(len(begin) - 1, dtype=np.int32), np.diff(begin))
        n_tiles = -(-(last - first) // self._size)
        return _tiled(at, cell, self._quantity[own], n_tiles, len(begin) - 1, self._size)


STRAYED = "hold instruments that are not laid out as its own; expected each position in a cell of its underlying"
"""What is wrong with cells in an error."""


def check_positions(cell: Integers, instrument: Integers, quantity: F8) -> None:
    """Check that there is one of each a position.

    Raises:
        ValueError: there is not.
    """
    if not len(cell) == len(instrument) == len(quantity):
        lengths = f"{len(cell)}, {len(instrument)}, {len(quantity)}"
        raise ValueError(f"positions' cell, instrument, quantity have {lengths} rows; expected the same")


def _counted(rows: Integers, columns: Integers, values: F8, shape: tuple[int, int]) -> coo_array:
    """A sparse matrix whose conversions put entries into order by counting; two in one place stay two."""
    matrix = coo_array((values, (rows, columns)), shape=shape)
    matrix.has_canonical_format = True
    return matrix


def _by_row(rows: Integers, columns: Integers, values: F8, n_rows: int) -> tuple[Integers, Integers, F8]:
    """Where each row begins (n_rows + 1,), and the columns and values row after row, otherwise in the order given."""
    if len(rows) < FEW or n_rows > SPARSE * len(rows):
        order = np.argsort(rows, kind="stable")
        return np.searchsorted(rows[order], np.arange(n_rows + 1)), columns[order], values[order]
    matrix = _counted(rows, columns, values, (n_rows, int(columns.max()) + 1)).tocsr()
    return matrix.indptr, matrix.indices, matrix.data


def _tiled(at: Integers, cell: Integers, quantity: F8, n_tiles: int, n_cells: int, size: int) -> list[Holdings]:
    """One underlying's holdings in order by (tile, cell, instrument), tile by tile."""
    rows = n_tiles * n_cells
    narrow = np.int32 if rows * size <= np.iinfo(np.int32).max else np.int64
    tile = at // size
    row: Integers = tile * narrow(n_cells) + cell
    instrument: Integers = at - tile * size
    touched: I8
    start: Integers
    if len(at) >= FEW and rows <= SPARSE * len(at):
        # Columns first, so that the rows' are ascending.
        matrix = _counted(row, instrument, quantity, (rows, size)).tocsc().tocsr()
        touched = np.flatnonzero(np.diff(matrix.indptr))
        start = np.append(matrix.indptr[touched], matrix.indptr[-1:])
        instrument, quantity = matrix.indices, matrix.data
    else:
        order = np.argsort(row * narrow(size) + instrument, kind="stable")
        row, instrument, quantity = row[order], instrument[order], quantity[order]
        begin = np.flatnonzero(np.diff(row, prepend=-1))
        touched, start = row[begin].astype(np.intp), np.append(begin, len(row))
    first = np.searchsorted(touched, np.arange(n_tiles + 1) * n_cells).tolist()
    tiles = []
    for t in range(n_tiles):
        rows_of, begins = slice(first[t], first[t + 1]), start[first[t] : first[t + 1] + 1]
        held = slice(int(begins[0]), int(begins[-1]))
        tiles.append(Holdings(touched[rows_of] - t * n_cells, begins - begins[0], instrument[held], quantity[held]))
    return tiles
