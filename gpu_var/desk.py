"""A book's underlyings made ready once, so that a few positions at a time can be revalued again and again."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from cpu_reference.aggregate import Holdings
from cpu_reference.revalue import Prepared
from cpu_reference.types import Shocks
from gpu_var.backend import Backend
from gpu_var.engine import Ready, blocks_of, columns_of, revalue_block, run_all
from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying, shocks, underlyings
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables.book import F8, I4, I8, Book
from gpu_var.tables.config import Config

_WIDER = 4
"""Blocks of a few instruments are wider than the engine's, whose tiles are full."""


class Desk:
    """Profit and loss of any positions in a book's instruments, in the scenarios of a run over the book.

    An underlying is made ready when it is first asked for, with all of its instruments, and then kept.
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
    ) -> None:
        self._book, self._config, self._factors, self._sets = book, config, factors, list(sets)
        self._backend, self._threads, self._precision = backend, threads, precision
        self._shock = np.concatenate([s.shock for s in sets])
        self._ready: dict[int, tuple[Underlying, Prepared, Shocks]] = {}

    def pnl(self, instruments: I8 | I4, quantities: F8) -> tuple[I4, dict[str, F8]]:
        """Profit and loss of positions by underlying, gains positive, base currency.

        Args:
            instruments: (n,) rows of `Book.instruments`, ascending, none of them twice.
            quantities: (n,) signed contracts.

        Returns:
            (n_underlyings,) rows of `Book.underlyings`, ascending, and by model (n_underlyings, n_scenarios).
        """
        owner = self._book.instruments.underlying[instruments]
        present = np.unique(owner)
        out = self._backend.zeros((len(present), len(self._shock)))
        tasks = []
        for at, u in enumerate(present.tolist()):
            own = owner == u
            ready = self._positions(u, np.asarray(instruments[own], np.int64), quantities[own])
            for block in blocks_of(self._sets, _WIDER * self._backend.BLOCK):
                part = out[at : at + 1, block]
                tasks.append(partial(revalue_block, self._backend, self._precision, ready, block, part))
        with ThreadPoolExecutor(self._backend.workers(self._threads)) as lane:
            run_all(lane, tasks)
        host = self._backend.to_host(out)
        return present, {s.model: host[:, c] for s, c in zip(self._sets, columns_of(self._sets), strict=True)}

    def _positions(self, u: int, instruments: I8, quantities: F8) -> Ready:
        """Positions in one underlying, in tiles: one cell holds them all."""
        part, prepared, state = self._prepared(u)
        place = np.full(len(self._book.instruments.kind), -1, dtype=np.intp)
        place[part.row] = np.arange(len(part.row))
        order = np.argsort(place[instruments], kind="stable")
        slot, quantity = place[instruments[order]], quantities[order]
        tiles = []
        for first in range(0, len(slot), self._backend.TILE):
            rows = slot[first : first + self._backend.TILE]
            held = Holdings(
                np.zeros(1, dtype=np.intp),
                np.array([0, len(rows)], dtype=np.intp),
                np.arange(len(rows)),
                quantity[first : first + len(rows)],
            )
            cut = prepared._replace(price=prepared.price[rows])
            tiles.append((part.instruments.cut(rows), cut, self._backend.upload(held)))
        return Ready(part.market, state, tiles)

    def _prepared(self, u: int) -> tuple[Underlying, Prepared, Shocks]:
        if u not in self._ready:
            rows = np.flatnonzero(self._book.instruments.underlying == u)
            (part,) = underlyings(self._book, self._config, rows)
            state = shocks(self._book, self._config, self._factors, part, self._shock)
            prepared = self._backend.prepare(part.instruments, part.market, state, part.listed)
            self._ready[u] = part, prepared, Shocks(*map(self._backend.to_device, state))
        return self._ready[u]
