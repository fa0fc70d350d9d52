"""Who holds how much of each underlying's instruments, laid out on the device; twin of cpu_reference/holders.py.

One integer of 64 bits a position numbers its place, and sorting the positions by it is all: nothing comes back but
where each tile begins, 8 bytes a tile. Tiles × cells × instruments of a tile have to be numbered, summed over
underlyings: 10¹⁰ or 34 bits for a million instruments and ten thousand accounts in fifty underlyings.

A position takes 16 bytes to upload, 160 MB for ten million; on the device up to 50 while it is sorted, 500 MB, and 12
from then on, with 12 more for each pair of tile and cell that holds something.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cpu_reference import holders as reference
from cpu_reference.holders import STRAYED, Integers, check_positions
from cpu_reference.types import F8, I8
from gpu_var.cuda.aggregate import Uploaded, upload
from gpu_var.cuda.arrays import out_of_memory
from gpu_var.cuda.device import current


class Holders:
    """Who holds how much of each underlying's instruments, in tiles of them; same arguments as the reference's.

    Where the device has no room to sort, the host lays out, and each underlying's tiles are uploaded when asked for.

    Raises:
        ValueError: a position in an underlying's cells whose instrument is not among its own; columns of different
            lengths; more places than 63 bits can number, or more cells of an underlying than 31 bits can.
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
        self._host: reference.Holders | None = None
        self._places = places = _places(first_cell, first_instrument, size)
        try:
            self._laid = _laid_out(cell, instrument, quantity, place, places)
        except Exception as error:
            if not out_of_memory(error):
                raise
            self._host = reference.Holders(cell, instrument, quantity, place, first_cell, first_instrument, size)

    def of(self, underlying: int) -> list[Uploaded]:
        """An underlying's, of each of its tiles, ready for `aggregate`: cells counted within the underlying."""
        if self._host is not None:
            return [upload(tile) for tile in self._host.of(underlying)]
        n_cells, n_instruments, first_tile, _, size = self._places
        own = slice(int(first_tile[underlying]), int(first_tile[underlying + 1]) + 1)
        cell, start, instrument, quantity, first = self._laid
        return [
            Uploaded(
                cell[begin:end],
                start[begin : end + 1],
                instrument,
                quantity,
                n_cells=int(n_cells[underlying]),
                n_instruments=min(size, int(n_instruments[underlying]) - before),
            )
            for before, (begin, end) in zip(
                range(0, int(n_instruments[underlying]), size), pairwise(first[own].tolist()), strict=True
            )
        ]


class _Places(NamedTuple):
    """How the places (tile, cell, instrument within the tile) are numbered, one after another."""

    n_cells: I8  # (n_underlyings,)
    n_instruments: I8  # (n_underlyings,)
    first_tile: I8  # (n_underlyings + 1,) where each underlying's tiles begin among those of all
    first_row: I8  # (n_tiles + 1,) where each tile's (tile, cell) pairs begin: a tile has all of its underlying's cells
    size: int


class _Laid(NamedTuple):
    """Holdings of all tiles on the device, as of `Uploaded`, and on the host where each tile's rows begin."""

    cell: Any
    start: Any
    instrument: Any
    quantity: Any
    first: I8  # (n_tiles + 1,)


def _places(first_cell: Integers, first_instrument: Integers, size: int) -> _Places:
    n_cells, n_instruments = (np.diff(first).astype(np.int64) for first in (first_cell, first_instrument))
    n_tiles = -(-n_instruments // size)
    n_places = size * sum(t * n for t, n in zip(n_tiles.tolist(), n_cells.tolist(), strict=True))
    if n_places > np.iinfo(np.int64).max:
        raise ValueError(f"{n_places:,} places of cells and instruments in tiles of {size}; expected fewer than 2⁶³")
    if n_cells.max(initial=0) > np.iinfo(np.int32).max:
        raise ValueError(f"an underlying has {n_cells.max():,} cells; expected fewer than 2³¹")
    return _Places(n_cells, n_instruments, _begins(n_tiles), _begins(np.repeat(n_cells, n_tiles)), size)


def _begins(lengths: I8) -> I8:
    """(n + 1,): where each of some stretches, one after another, begins."""
    return np.concatenate([[0], np.cumsum(lengths)])


def _laid_out(cell: Integers, instrument: Integers, quantity: F8, place: Integers, places: _Places) -> _Laid:
    """Holdings in the order of places; positions that are not laid out stand behind the last tile."""
    device = current()
    xp, size = device.xp, places.size
    key = _keys(cell, instrument, place, places)
    if len(key) == 0:
        none = (xp.zeros(0, np.int32), xp.zeros(1, np.int64), xp.zeros(0, np.int32), xp.zeros(0))
        return _Laid(*none, np.zeros_like(places.first_row))
    # Two positions in one place keep their order, and so the reference's bits.
    order = xp.argsort(key, kind="stable")
    key = key[order]
    amount = device.upload(quantity.astype(np.float64, copy=False))[order]
    del order
    row = key // size
    within = (key - row * size).astype(np.int32)
    del key
    new = xp.empty(len(row), np.bool_)
    new[:1] = True
    new[1:] = row[1:] != row[:-1]
    begin = xp.flatnonzero(new)
    start = xp.empty(len(begin) + 1, np.int64)
    start[:-1] = begin
    start[-1:] = len(row)
    touched = row[begin]
    first_row = device.upload(places.first_row)
    # Tiles without cells begin where the next one does, which is the one meant.
    tile = xp.searchsorted(first_row, touched, side="right") - 1
    of_tile = (touched - first_row[tile]).astype(np.int32)
    return _Laid(of_tile, start, within, amount, first_rows(touched, first_row))


def first_rows(touched: Any, first_row: Any) -> I8:
    """(n_tiles + 1,) on the host: how many of the (tile, cell) pairs that hold something come before each tile.

    Args:
        touched: their numbers on the device, ascending.
        first_row: (n_tiles + 1,) on the device: the number of each tile's first pair.
    """
    device = current()
    return device.download(device.xp.searchsorted(touched, first_row))


def _keys(cell: Integers, instrument: Integers, place: Integers, places: _Places) -> Any:
    """(n_positions,) int64 on the device: the number of each position's place, or how many there are if it has none."""
    n_cells, n_instruments, first_tile, first_row, size = places
    u = np.repeat(np.arange(len(n_cells), dtype=np.int32), n_instruments)
    at = _within(n_instruments)
    tile = at // size
    of_place = np.append(first_row[first_tile[u] + tile] * size + at - tile * size, first_row[-1] * size)
    owner = np.append(u, np.int32(-1))  # −1: laid out nowhere

    laid_out = n_instruments > 0
    v = np.repeat(np.where(laid_out, np.arange(len(n_cells), dtype=np.int32), np.int32(-1)), n_cells)
    of_cell = _within(n_cells) * np.repeat(np.where(laid_out, size, 0), n_cells)

    put = current().upload
    places_of = put(place)
    cells, instruments = put(_narrow(cell, len(v))), put(_narrow(instrument, len(place)))
    strayed = put(v)[cells] != put(owner)[places_of][instruments]
    if current().download(strayed.any()):
        one = cell[int(np.flatnonzero(current().download(strayed))[0])]
        raise ValueError(f"cells of underlying {np.searchsorted(_begins(n_cells), one, side='right') - 1} {STRAYED}")
    key = put(of_place)[places_of][instruments]
    key += put(of_cell)[cells]
    return key


def _within(lengths: I8) -> I8:
    """0, 1, 2, … in each of some stretches, one after another."""
    return np.arange(int(lengths.sum())) - np.repeat(_begins(lengths)[:-1], lengths)


def _narrow(numbers: Integers, n: int) -> Integers:
    """Numbers below n, as int32 where that fits."""
    return numbers.astype(np.int32 if n <= np.iinfo(np.int32).max else np.int64, copy=False)
