"""The loop over tiles: the only place that calls a backend's heavy functions.

A task is one underlying in one block of scenarios: it revalues the underlying's instruments tile by tile and adds them
to the profit and loss of the cells that hold them. Tasks write to disjoint memory and every sum within one has a fixed
order, so the bits do not depend on the number of threads.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cpu_reference.aggregate import Holdings
from cpu_reference.price import Valuation
from cpu_reference.revalue import Prepared
from cpu_reference.tail import Tail
from cpu_reference.types import Instruments, Market, Shocks
from gpu_var.backend import Backend, load_backend
from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying, shocks, underlyings
from gpu_var.scenarios.model import ScenarioSet, measures
from gpu_var.tables.book import F8, I4, I8, Book
from gpu_var.tables.config import Config

BATCH_BYTES = 256 << 20
"""Cell profit and loss held at a time; one underlying at least."""

Progress = Callable[[str, float], None]


def nothing(_stage: str, _done: float) -> None:
    """The progress of a run that nobody watches."""


@dataclass(frozen=True)
class Cells:
    """The (account, underlying) pairs that hold something, ascending by (underlying, account)."""

    account: I4
    underlying: I4
    of_position: I8  # (n_positions with quantity ≠ 0,) cell of each, in the order of the book


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


def cells_of(book: Book) -> Cells:
    """The cells of a book's non-zero positions."""
    p = book.positions
    held = p.quantity != 0
    n_accounts = len(book.accounts.house)
    key = book.instruments.underlying[p.instrument[held]].astype(np.int64) * n_accounts + p.account[held]
    cell, of_position = np.unique(key, return_inverse=True)
    return Cells((cell % n_accounts).astype(np.int32), (cell // n_accounts).astype(np.int32), of_position)


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

    def one(part: Underlying) -> None:
        for column, values in zip(out, backend.price(part.instruments, part.market, rho), strict=True):
            column[part.row] = values

    for _ in pool.map(one, parts):
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
    with ThreadPoolExecutor(backend.workers(threads)) as lane:
        holdings = _holdings(book, cells, parts, backend.TILE)
        loop = _Loop(book, config, factors, cells, holdings, backend, precision, lane, sets)
        for batch in _batches(parts, cells, n_scenarios):
            work = sum(len(part.row) for part in batch)

            def report(fraction: float, before: int = done, work: int = work) -> None:
                progress("revalue", (before + fraction * work) / total)

            loop.run(batch, out, report)
            done += work
    return out


def _batches(parts: list[Underlying], cells: Cells, n_scenarios: int) -> Iterator[list[Underlying]]:
    """Consecutive underlyings whose cells' profit and loss fits the budget."""
    size = np.bincount(cells.underlying, minlength=1) * n_scenarios * 8
    batch: list[Underlying] = []
    used = 0
    for part in parts:
        if batch and used + size[part.position] > BATCH_BYTES:
            yield batch
            batch, used = [], 0
        batch.append(part)
        used += int(size[part.position])
    if batch:
        yield batch


def columns_of(sets: Sequence[ScenarioSet]) -> list[slice]:
    """Where each model's scenarios stand in the matrix of all, side by side."""
    ends = np.cumsum([len(s.name) for s in sets]).tolist()
    return [slice(end - len(s.name), end) for s, end in zip(sets, ends, strict=True)]


def blocks_of(sets: Sequence[ScenarioSet], width: int) -> list[slice]:
    """The blocks of scenarios that are revalued at a time; none holds those of two models."""
    return [slice(b, min(b + width, c.stop)) for c in columns_of(sets) for b in range(c.start, c.stop, width)]


class Ready(NamedTuple):
    """An underlying whose tiles can be revalued."""

    market: Market
    shocks: Shocks  # the backend's arrays
    tiles: list[tuple[Instruments, Prepared, Holdings]]


def revalue_block(backend: Backend, precision: str, ready: Ready, block: slice, out: F8) -> None:
    """Profit and loss of an underlying's cells in a block of scenarios; in halves of it where memory is short.

    Args:
        ready: the underlying.
        block: which of the scenarios.
        out: (n_cells, n_scenarios of the block), overwritten.
    """

    def work(part: slice) -> None:
        own = out[:, part.start - block.start : part.stop - block.start]
        own[...] = 0.0
        width = part.stop - part.start
        buffer = backend.empty((max(len(i.kind) for i, _, _ in ready.tiles), width), precision)
        for instruments, prepared, held in ready.tiles:
            tile = buffer[: len(instruments.kind)]
            backend.revalue(instruments, ready.market, ready.shocks, prepared, part, tile)
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
    holdings: dict[int, list[Holdings]]
    backend: Backend
    precision: str  # of a tile's profit and loss; sums are float64
    lane: Executor
    sets: list[ScenarioSet]

    def run(self, batch: list[Underlying], into: Revaluation, report: Callable[[float], None]) -> None:
        """Revalue a batch of underlyings in every model's scenarios, measure its cells, add them to the accounts.

        The models' scenarios stand side by side in one matrix, so that they share what is prepared once an underlying.
        """
        backend = self.backend
        shock = np.concatenate([s.shock for s in self.sets])
        columns = columns_of(self.sets)
        blocks = blocks_of(self.sets, backend.BLOCK)
        first = self._cells(batch[0]).start
        cell_pnl = backend.zeros((self._cells(batch[-1]).stop - first, len(shock)))

        def prepare(part: Underlying) -> Ready:
            state = shocks(self.book, self.config, self.factors, part, shock)
            prepared = backend.prepare(part.instruments, part.market, state, part.listed)
            if any(premium.direct.any() for premium in prepared.premium.values()):
                into.direct.add(part.position)
            tiles = []
            for t, held in enumerate(self.holdings[part.position]):
                rows = slice(t * backend.TILE, (t + 1) * backend.TILE)
                tiles.append(
                    (part.instruments.cut(rows), prepared._replace(price=prepared.price[rows]), backend.upload(held))
                )
            return Ready(part.market, Shocks(*map(backend.to_device, state)), tiles)

        # One after another: fits are many short steps of Python, which threads would only pass back and forth.
        ready = [prepare(part) for part in batch]
        tasks = []
        for part, prepared in zip(batch, ready, strict=True):
            own = self._cells(part)
            out = cell_pnl[own.start - first : own.stop - first]
            tasks += [
                partial(revalue_block, backend, self.precision, prepared, block, out[:, block]) for block in blocks
            ]
        run_all(self.lane, tasks, report)

        def accumulate(scenarios: ScenarioSet, at: slice) -> None:
            pnl = into.pnl[scenarios.model]
            for part in batch:
                own = self._cells(part)
                # An account has one cell of an underlying; and indexing makes copies, so a few rows at a time.
                for rows in (slice(r, min(r + step, own.stop)) for r in range(own.start, own.stop, step)):
                    accounts = backend.to_device(self.cells.account[rows].astype(np.int64))
                    pnl[accounts] += cell_pnl[rows.start - first : rows.stop - first, at]

        step = max(1, (1 << 20) // len(shock))
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

    def _cells(self, part: Underlying) -> slice:
        begin, end = np.searchsorted(self.cells.underlying, [part.position, part.position + 1])
        return slice(int(begin), int(end))

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


def _holdings(book: Book, cells: Cells, parts: list[Underlying], size: int) -> dict[int, list[Holdings]]:
    """For each underlying, tile by tile of its instruments, who holds how much; cells counted within the underlying."""
    p = book.positions
    held = p.quantity != 0
    instrument, quantity = p.instrument[held], p.quantity[held]
    slot = np.zeros(len(book.instruments.kind), dtype=np.int64)
    tile_of_part = np.zeros(len(book.underlyings.spot) + 1, dtype=np.int64)
    n_tiles = 0
    for part in parts:
        slot[part.row] = np.arange(len(part.row))
        tile_of_part[part.position] = n_tiles
        n_tiles += -(-len(part.row) // size)
    underlying = book.instruments.underlying[instrument]
    at = slot[instrument]
    tile = tile_of_part[underlying] + at // size
    n_cells = max(1, len(cells.account))
    order = np.argsort((tile * n_cells + cells.of_position) * size + at % size, kind="stable")
    tile, cell, at, quantity = tile[order], cells.of_position[order], at[order] % size, quantity[order]
    edges = np.searchsorted(tile, np.arange(n_tiles + 1))
    first_cell = np.searchsorted(cells.underlying, np.arange(len(book.underlyings.spot)))

    out: dict[int, list[Holdings]] = {}
    for part in parts:
        base = tile_of_part[part.position]
        out[part.position] = [
            _compressed(cell[b:e] - first_cell[part.position], at[b:e], quantity[b:e])
            for b, e in (edges[base + t : base + t + 2] for t in range(-(-len(part.row) // size)))
        ]
    return out


def _compressed(cell: I8, instrument: I8, quantity: F8) -> Holdings:
    """Compressed rows of holdings sorted by cell."""
    begin = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]])) if len(cell) else np.zeros(0, dtype=np.intp)
    return Holdings(cell[begin], np.concatenate([begin, [len(cell)]]), instrument, quantity)


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
