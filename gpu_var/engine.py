"""The loop over tiles: the only place that calls a backend's heavy functions.

A task is one pool — an underlying, or on a GPU several — in one block of scenarios: it revalues the pool's instruments
tile by tile and adds them to the profit and loss of the cells that hold them. Tasks write to disjoint memory and every
sum within one has a fixed order, so the bits do not depend on the number of threads.
"""

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from cpu_reference.price import Valuation
from cpu_reference.revalue import Prepared, Request
from cpu_reference.tail import Tail
from cpu_reference.types import Instruments, Market, Shocks
from gpu_var.backend import Backend, load_backend
from gpu_var.cells import Cells, holders_of
from gpu_var.engine_groups import batches_of, pools_of, prepared_share
from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying, shocks, together, underlyings
from gpu_var.scenarios.model import ScenarioSet, measures
from gpu_var.tables.book import F8, I8, Book
from gpu_var.tables.config import Config

VALUED = 1 << 16
"""Instruments of small underlyings that are priced at once."""

Progress = Callable[[str, float], None]


def nothing(_stage: str, _done: float) -> None:
    """The progress of a run that nobody watches."""


@dataclass(frozen=True)
class Revaluation:
    """What the models' scenarios do to accounts and cells."""

    pnl: dict[str, F8]  # model -> (n_accounts, n_scenarios), base currency, gains positive
    cell_tail: dict[str, Tail]  # model -> (n_cells,); NaN where a cell's P&L is not finite, and for sets not ranked
    failed: dict[int, str]  # cell -> why its P&L is not a number
    direct: set[int]  # underlyings with American options that some scenario prices without a shared fit
    revaluations: int  # instruments × scenarios
    cell_pnl: dict[str, F8] | None = None  # model -> (n_cells, n_scenarios) on the host, where it is kept


def run_all(
    pool: Executor, tasks: Sequence[Callable[[], None]], report: Callable[[float], None] = lambda _: None
) -> None:
    """Run tasks on the pool, reporting the share done; the first failure, or an interrupt, cancels the rest."""
    pending: set[Future[None]] = {pool.submit(_quietly, task) for task in tasks}
    try:
        while pending:
            # The timeout lets a signal reach the main thread while every worker is busy.
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            report(1.0 - len(pending) / len(tasks))
    except BaseException:
        for future in pending:
            future.cancel()
        raise


def _quietly(task: Callable[[], None]) -> None:
    """Without warnings of overflow: a cell whose profit and loss is not finite is found, and named, when measured."""
    with np.errstate(all="ignore"):
        task()


def value(
    book: Book, config: Config, rows: I8, backend: Backend, pool: Executor, rho: bool = False
) -> tuple[Valuation, list[Underlying]]:
    """Prices and Greeks of some instruments today, per unit of the underlying in its quote currency.

    Args:
        rows: rows of Book.instruments.
        rho: whether rho is asked for; it costs American options two thirds more.

    Returns:
        Arrays over all instruments of the book, NaN for those not asked for, and the underlyings that were built.
    """
    out = Valuation(*(np.full(len(book.instruments.kind), np.nan) for _ in Valuation._fields))
    return out, value_into(out, book, config, rows, backend, pool, rho)


def value_into(
    out: Valuation, book: Book, config: Config, rows: I8, backend: Backend, pool: Executor, rho: bool = False
) -> list[Underlying]:
    """As `value`, into arrays over all instruments of the book that are there already."""
    parts = underlyings(book, config, rows)

    def one(some: list[Underlying]) -> None:
        all_of = together(some)
        at = np.concatenate([part.row for part in some])
        for column, values in zip(out, backend.price(all_of.instruments, all_of.market, rho), strict=True):
            column[at] = values

    batches = batches_of(parts, [len(part.row) / VALUED for part in parts])
    for _ in pool.map(one, [some for batch in batches for some in pools_of(batch, backend.POOLED)]):
        pass
    return parts


def revalue(
    book: Book,
    config: Config,
    factors: Factors,
    parts: list[Underlying],
    sets: list[ScenarioSet],
    cells: Cells,
    backend: Backend,
    threads: int,
    precision: str = "float64",
    progress: Progress = nothing,
    keep_cells: bool = False,
) -> Revaluation:
    """Profit and loss of every account, and the tail of every cell, in every scenario of every model.

    Args:
        parts: the underlyings held, of `value`.
        sets: the models' scenarios.
        cells: of `cells_of`.
        threads: tasks that a backend on the host runs at a time.
        precision: "float64", or the backend's "float32" mode.
        keep_cells: whether the profit and loss of every cell is kept as well: for the books of few accounts.
    """
    n_scenarios = sum(len(s.name) for s in sets)
    n_cells = len(cells.account)
    out = Revaluation(
        pnl={s.model: backend.zeros((len(book.accounts.house), len(s.name))) for s in sets},
        cell_tail={s.model: Tail(*(np.full(n_cells, np.nan) for _ in Tail._fields)) for s in sets},
        failed={},
        direct=set(),
        revaluations=sum(len(part.row) for part in parts) * n_scenarios,
        cell_pnl={s.model: np.full((n_cells, len(s.name)), np.nan) for s in sets} if keep_cells else None,
    )
    if not sets:
        return out
    done, total = 0, max(1, sum(len(part.row) for part in parts))
    with ThreadPoolExecutor(backend.workers(threads)) as lane, ThreadPoolExecutor(threads) as hands:
        budget = backend.batch_bytes()  # of what is free before anything is laid out, so that runs are cut alike
        cell_bytes = (8 * n_scenarios * np.bincount(cells.underlying, minlength=len(book.underlyings.spot))).tolist()
        shares = [prepared_share(part, factors, n_scenarios) for part in parts]
        if backend.POOLED:  # what is revalued as one has to have room for its cells
            shares = [max(share, cell_bytes[p.position] / budget) for share, p in zip(shares, parts, strict=True)]
        groups = [pools_of(group, backend.POOLED) for group in batches_of(parts, shares)]
        pools = [pool for group in groups for pool in group]
        holders = hands.submit(holders_of, book, cells, pools, backend)
        shock = sets[0].shock if len(sets) == 1 else np.concatenate([s.shock for s in sets])
        loop = _Loop(book, config, factors, cells, holders, backend, precision, lane, hands, sets, shock)
        with closing(_one_ahead(loop.prepare, groups)) as coming:
            for ready in coming:
                room = [sum(cell_bytes[u] for u in one.position) / budget for one in ready]
                batches = list(batches_of(ready, room))
                ready.clear()
                for batch in batches:
                    work = sum(len(one.instruments.kind) for one in batch)

                    def report(fraction: float, before: int = done, work: int = work) -> None:
                        progress("revalue", (before + fraction * work) / total)

                    loop.run(batch, out, report)
                    done += work
    return out


def _one_ahead(
    work: Callable[[list[list[Underlying]]], list["Ready"]], groups: list[list[list[Underlying]]]
) -> Generator[list["Ready"]]:
    """What `work` makes of each group, which a thread of its own does while the one before is in use: a GPU computes
    without the host, and waits for it otherwise."""
    ahead = ThreadPoolExecutor(1)
    try:
        coming = [ahead.submit(work, group) for group in groups[:1]]
        for at in range(1, len(groups) + 1):
            while not wait(coming, timeout=0.2).done:
                pass  # a signal reaches the main thread when this one moves
            ready = coming.pop().result()
            coming += [ahead.submit(work, following) for following in groups[at : at + 1]]
            yield ready
    finally:
        # Who was interrupted does not wait for what would be prepared in vain.
        ahead.shutdown(wait=False, cancel_futures=True)


def columns_of(sets: Sequence[ScenarioSet]) -> list[slice]:
    """Where each model's scenarios stand in the matrix of all, side by side."""
    ends = np.cumsum([len(s.name) for s in sets]).tolist()
    return [slice(end - len(s.name), end) for s, end in zip(sets, ends, strict=True)]


def blocks_of(sets: Sequence[ScenarioSet], width: int) -> list[slice]:
    """The blocks of scenarios that are revalued at a time; none holds those of two models."""
    return [slice(b, min(b + width, c.stop)) for c in columns_of(sets) for b in range(c.start, c.stop, width)]


class Ready(NamedTuple):
    """Underlyings whose tiles can be revalued."""

    instruments: Instruments
    market: Market
    shocks: Shocks  # the backend's arrays
    prepared: Prepared
    held: list[Any]  # of each tile, who holds how much; of the backend's `Holders`
    position: Sequence[int]  # rows of Book.underlyings, ascending


def revalue_block(backend: Backend, precision: str, ready: Ready, block: slice, out: F8) -> None:
    """Profit and loss of a pool's cells in a block of scenarios; in halves of it where memory is short.

    Args:
        ready: the pool.
        block: which of the scenarios.
        out: (n_cells, n_scenarios of the block), overwritten.
    """
    n, size = len(ready.instruments.kind), backend.TILE

    def work(part: slice) -> None:
        own = out[:, part.start - block.start : part.stop - block.start]
        own[...] = 0.0
        buffer = backend.empty((min(n, size), part.stop - part.start), precision)
        for begin, held in zip(range(0, n, size), ready.held, strict=True):
            rows = slice(begin, min(begin + size, n))
            tile = buffer[: rows.stop - begin]
            backend.revalue(ready.instruments, ready.market, ready.shocks, ready.prepared, part, tile, rows)
            backend.aggregate(held, tile, own)

    halving(backend, block, work, f"{len(out):,} cells and a tile of {backend.TILE:,} instruments")


def halving(backend: Backend, block: slice, work: Callable[[slice], None], what: str) -> None:
    """Work on a block of scenarios; on halves of it where memory is short.

    Args:
        work: called with a slice of scenarios; may be called again with parts of it.
        what: there is no memory for, in a single scenario.
    """
    width = block.stop - block.start
    try:
        work(block)
        return
    except Exception as error:
        if not backend.out_of_memory(error):
            raise
        if width < 2:
            raise MemoryError(f"no memory is left for {what} in a single scenario") from error
    middle = block.start + width // 2
    halving(backend, slice(block.start, middle), work, what)
    halving(backend, slice(middle, block.stop), work, what)


@dataclass(frozen=True)
class _Loop:
    """What stays the same over batches."""

    book: Book
    config: Config
    factors: Factors
    cells: Cells
    holders: Future[Any]  # the backend's `Holders`, by pool
    backend: Backend
    precision: str  # of a tile's profit and loss; sums are float64
    lane: Executor  # the backend's tasks
    hands: Executor  # what the host does for any backend
    sets: list[ScenarioSet]
    shock: F8  # of all models, one after another

    def prepare(self, group: list[list[Underlying]]) -> list[Ready]:
        """What the scenarios of all models share, of the pools of a group."""
        backend = self.backend

        def held(pool: list[Underlying]) -> list[Any]:
            tiles: list[Any] = self.holders.result().of(pool[0].position)
            return tiles

        laid_out = [self.hands.submit(held, pool) for pool in group]
        pools = [together(pool) for pool in group]
        moved = [self.hands.submit(shocks, self.book, self.config, self.factors, pool, self.shock) for pool in pools]
        requests = [
            Request(pool.instruments, pool.market, state.result(), pool.listed)
            for pool, state in zip(pools, moved, strict=True)
        ]
        # In one thread: fits are many short steps of Python, which several would only pass back and forth.
        fitted = backend.prepare_all(requests)
        return [
            Ready(
                one.instruments,
                one.market,
                one.shocks.moving(backend.to_device),
                prepared,
                tiles.result(),
                pool.position.tolist(),
            )
            for pool, one, prepared, tiles in zip(pools, requests, fitted, laid_out, strict=True)
        ]

    def run(self, batch: list[Ready], into: Revaluation, report: Callable[[float], None]) -> None:
        """Revalue a batch of pools in every model's scenarios, measure their cells, add them to the accounts.

        The models' scenarios stand side by side in one matrix, so that they share what is prepared once a pool.
        """
        backend = self.backend
        columns = columns_of(self.sets)
        blocks = blocks_of(self.sets, backend.BLOCK)
        cells = [self.cells.of_all(one.position) for one in batch]
        first, width = cells[0].start, columns[-1].stop
        cell_pnl = backend.zeros((cells[-1].stop - first, width))

        tasks = []
        for one, own in zip(batch, cells, strict=True):
            out = cell_pnl[own.start - first : own.stop - first]
            direct = [m for (m, _), premium in one.prepared.premium.items() if premium.any_direct]
            into.direct.update(one.position[u] for u in one.market.underlying[direct].tolist())
            tasks += [partial(revalue_block, backend, self.precision, one, block, out[:, block]) for block in blocks]
        batch.clear()  # what was prepared is let go as soon as it has been used
        run_all(self.lane, tasks, report)
        tasks.clear()

        def accumulate(scenarios: ScenarioSet, at: slice) -> None:
            pnl = into.pnl[scenarios.model]
            for own in cells:
                accounts = self.cells.account[own].astype(np.int64)
                backend.add_rows(accounts, cell_pnl[own.start - first : own.stop - first, at], pnl)

        step = max(1, backend.MEASURED // width)
        chunks = [slice(r, min(r + step, len(cell_pnl))) for r in range(0, len(cell_pnl), step)]
        after = []
        reasons: dict[tuple[int, int], str] = {}
        for s, at in zip(self.sets, columns, strict=True):
            after += [partial(self._measure, s, cell_pnl[:, at], first, rows, into, reasons) for rows in chunks]
            after.append(partial(accumulate, s, at))
        run_all(self.lane, after)
        # Whichever was measured first, the first model in order tells why.
        for cell, order in sorted(reasons):
            into.failed.setdefault(cell, reasons[cell, order])

    def _measure(
        self,
        scenarios: ScenarioSet,
        cell_pnl: F8,
        first: int,
        rows: slice,
        into: Revaluation,
        reasons: dict[tuple[int, int], str],
    ) -> None:
        """The tails of some cells; `reasons` gets why one has none, by (cell, rank of the model)."""
        pnl = cell_pnl[rows]
        finite = np.isfinite(pnl)
        sound = self.backend.to_host(finite.all(axis=1))
        for cell in np.flatnonzero(~sound).tolist():
            at = first + rows.start + cell
            name = self.book.underlyings.name[int(self.cells.underlying[at])].as_py()
            where = scenarios.name[int(np.flatnonzero(~self.backend.to_host(finite[cell]))[0])]
            reason = f"profit and loss on {name} is not finite in {scenarios.model}:{where}"
            reasons[at, [s.model for s in self.sets].index(scenarios.model)] = reason
        # A row that is not finite measures as NaN, and harms no other.
        if into.cell_pnl is not None:
            into.cell_pnl[scenarios.model][first + rows.start : first + rows.stop] = self.backend.to_host(pnl)
        if not scenarios.ranked:
            return
        measured = measures(self.backend, -pnl, scenarios.samples, self.config.level)
        for column, values in zip(into.cell_tail[scenarios.model], measured, strict=True):
            column[first + rows.start : first + rows.stop] = np.where(sound, values, np.nan)


def price(book: Book, config: Config, threads: int | None = None) -> pa.Table:
    """Prices and Greeks of every instrument, in the table's order, for one unit of the underlying.

    Returns:
        Columns instrument, price, forward, iv, delta, gamma, vega, theta, rho; iv is null but for options.
    """
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        valuation, _ = value(book, config, np.arange(len(book.instruments.kind)), load_backend("cpu"), pool, rho=True)
    columns = {
        name: pa.array(getattr(valuation, name), mask=np.isnan(valuation.iv) if name == "iv" else None)
        for name in ("price", "forward", "iv", "delta", "gamma", "vega", "theta", "rho")
    }
    return pa.table({"instrument": book.instruments.name, **columns})
