"""What one contract of each instrument of a book gains in each scenario, kept for the next question.

A portfolio's profit and loss is then a product of a matrix that is there already: the sum of quantity × unit profit and
loss, ascending by instrument. Its bits depend on the positions alone, not on what has been asked before.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from cpu_reference.revalue import Prepared
from cpu_reference.types import Instruments, Shocks
from gpu_var.backend import Backend
from gpu_var.cells import compressed
from gpu_var.engine import Progress, blocks_of, columns_of, halving, nothing, run_all
from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying, shocks, underlyings
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.slots import Slots
from gpu_var.tables.book import F8, I4, I8, Book, Bool
from gpu_var.tables.config import Config

UNITS_BYTES = 512 << 20
"""Unit profit and loss kept, a number a scenario for each instrument: 6,391 instruments in 10,500 scenarios."""

_WIDER = 2
"""Blocks of a few instruments are wider than the engine's, whose tiles are full."""


class _Ready(NamedTuple):
    """An underlying, with all of its instruments, made ready for the scenarios."""

    part: Underlying
    prepared: Prepared
    shocks: Shocks  # the backend's arrays
    direct: Bool  # (n_instruments,): some scenario prices it without a shared fit, slowly


class Desk:
    """Profit and loss of any positions in a book's instruments, in the scenarios of a run over the book.

    An instrument is revalued when it is first asked for, or by `open`, and its profit and loss is then kept while there
    is room; what was asked for longest ago gives way. May be asked from several threads, one at a time is answered.

    Args:
        memory: bytes of unit profit and loss to keep, where the backend computes; one instrument at least.
    """

    def __init__(
        self,
        book: Book,
        config: Config,
        factors: Factors,
        sets: Sequence[ScenarioSet],
        backend: Backend,
        threads: int,
        precision: str = "float64",
        memory: int = UNITS_BYTES,
    ) -> None:
        self._book, self._config, self._factors, self._sets = book, config, factors, list(sets)
        self._backend, self._threads, self._precision = backend, threads, precision
        # A configuration of a scan alone has no scenarios of this kind.
        self._shock = np.concatenate([s.shock for s in sets]) if sets else np.zeros((0, len(factors.names)))
        n, n_scenarios = len(book.instruments.kind), len(self._shock)
        room = memory // max(1, n_scenarios * np.dtype(precision).itemsize)
        self._slots = Slots(n, max(1, min(n, room)))
        self._units = backend.empty((self._slots.size, n_scenarios), precision)
        self._ready: dict[int, _Ready] = {}
        self._place = np.zeros(n, dtype=np.int64)  # among the instruments of its underlying, where that is ready
        self._blas = ThreadpoolController()
        self._lock = Lock()

    def pnl(self, instruments: I8 | I4, quantities: F8) -> tuple[I4, dict[str, F8]]:
        """Profit and loss of positions by underlying, gains positive, base currency.

        Args:
            instruments: (n,) rows of `Book.instruments`, ascending, none of them twice.
            quantities: (n,) signed contracts.

        Returns:
            (n_underlyings,) rows of `Book.underlyings`, ascending, and by model (n_underlyings, n_scenarios).
        """
        order = np.argsort(self._book.instruments.underlying[instruments], kind="stable")
        rows, quantity = np.asarray(instruments[order], dtype=np.int64), quantities[order]
        present, cell = np.unique(self._book.instruments.underlying[rows], return_inverse=True)
        out = self._backend.zeros((len(present), len(self._shock)))
        with self._lock:
            for begin in range(0, len(rows), self._slots.size):
                part = slice(begin, begin + self._slots.size)
                slots, new = self._slots.place(rows[part])
                self._fill(rows[part][new], slots[new])
                held = self._backend.upload(compressed(cell[part], slots, quantity[part]))
                self._backend.aggregate(held, self._units, out)
        host = self._backend.to_host(out)
        return present, {s.model: host[:, c] for s, c in zip(self._sets, columns_of(self._sets), strict=True)}

    def open(self, instruments: I8, progress: Progress = nothing) -> None:
        """Revalue instruments before they are asked for, as many as there is free room for, the first ones first.

        American options that a scenario prices without a shared fit take seconds each and are left until asked for.

        Args:
            instruments: (n,) rows of `Book.instruments`, none of them twice.
            progress: called with the stage "instruments" and the share of it that is done.
        """
        owner = self._book.instruments.underlying
        with self._lock:
            wanted = instruments[~self._slots.held(instruments)][: self._slots.free]
            done = 0
            # Underlying by underlying: what one was made ready with need not be held for all.
            for u in np.unique(owner[wanted]).tolist():
                rows = wanted[owner[wanted] == u]

                def report(fraction: float, before: int = done, work: int = len(rows)) -> None:
                    progress("instruments", (before + fraction * work) / len(wanted))

                done += len(rows)
                rows = rows[~self._prepared(u).direct[self._place[rows]]]
                self._fill(rows, self._slots.place(rows)[0], report)
        progress("instruments", 1.0)

    def _fill(self, rows: I8, slots: I8, report: Callable[[float], None] = lambda _: None) -> None:
        """Revalue instruments into slots, on every core."""
        if not len(rows):
            return
        owner = self._book.instruments.underlying[rows]
        blocks = blocks_of(self._sets, _WIDER * self._backend.BLOCK)
        tasks = []
        # One after another: fits are many short steps of Python, which threads would only pass back and forth.
        for u in np.unique(owner).tolist():
            own = np.flatnonzero(owner == u)
            ready = self._prepared(u)
            at = self._place[rows[own]]
            # Two tiles at least, so that a few instruments, too, are work for every core.
            for tile in _tiles(ready.direct, at, min(self._backend.TILE, -(-len(at) // 2))):
                cut = ready.part.instruments.cut(at[tile])
                prepared = ready.prepared._replace(price=ready.prepared.price[at[tile]])
                into = self._backend.to_device(slots[own[tile]])
                tasks += [partial(self._revalue, ready, cut, prepared, into, block) for block in blocks]
        workers = self._backend.workers(self._threads)
        # One BLAS thread: the cores are ours already, and several may round differently.
        with self._blas.limit(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as lane:
            run_all(lane, tasks, report)
        self._slots.keep(rows, slots)
        for u in np.unique(owner).tolist():
            if self._slots.held(self._ready[u].part.row).all():
                del self._ready[u]

    def _revalue(self, ready: _Ready, instruments: Instruments, prepared: Prepared, into: I8, block: slice) -> None:
        """One contract of each instrument of a tile in a block of scenarios; in halves of it where memory is short."""

        def work(part: slice) -> None:
            tile = self._backend.empty((len(instruments.kind), part.stop - part.start), self._precision)
            self._backend.revalue(instruments, ready.part.market, ready.shocks, prepared, part, tile)
            self._units[into, part] = tile

        halving(self._backend, block, work, f"a tile of {len(instruments.kind):,} instruments")

    def _prepared(self, u: int) -> _Ready:
        if u not in self._ready:
            rows = np.flatnonzero(self._book.instruments.underlying == u)
            (part,) = underlyings(self._book, self._config, rows)
            state = shocks(self._book, self._config, self._factors, part, self._shock)
            prepared = self._backend.prepare(part.instruments, part.market, state, part.listed)
            self._place[part.row] = np.arange(len(part.row))
            device = state.moving(self._backend.to_device)
            self._ready[u] = _Ready(part, prepared, device, _direct(part.instruments, prepared))
        return self._ready[u]


def _direct(instruments: Instruments, prepared: Prepared) -> Bool:
    """(n_instruments,): an American option whose premium has no fit in some scenario."""
    out = np.zeros(len(instruments.kind), dtype=np.bool_)
    for (maturity, sign), premium in prepared.premium.items():
        if premium.any_direct:
            out |= instruments.american & (instruments.maturity == maturity) & (instruments.sign == sign)
    return out


def _tiles(direct: Bool, at: I8, height: int) -> Iterator[I8]:
    """Instruments to revalue at a time, as places in `at`, in the order in which the backends take them.

    Those priced without a shared fit stand alone: they take seconds each, and solve for boundaries together with those
    beside them, on which their last bits would depend.
    """
    order = np.argsort(at)
    alone = direct[at[order]]
    for rows, step in ((order[~alone], height), (order[alone], 1)):
        yield from (rows[begin : begin + step] for begin in range(0, len(rows), step))
