"""The loop over tiles: the only place that calls a backend's heavy functions.

A task is one underlying in one block of scenarios: it revalues the underlying's instruments tile by tile and adds them
to the profit and loss of the cells that hold them. Tasks write to disjoint memory and every sum within one has a fixed
order, so the bits do not depend on the number of threads.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

import numpy as np

import cpu_reference as backend
from cpu_reference.aggregate import Holdings
from cpu_reference.revalue import Prepared
from cpu_reference.tail import Tail
from cpu_reference.types import Instruments, Shocks
from gpu_var.market.factors import Factors
from gpu_var.market.state import Underlying, shocks, underlyings
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables.book import F8, I4, I8, Book
from gpu_var.tables.config import Config

BLOCK = 256
"""Scenarios of a task. Fixed: where a block begins must not depend on the machine."""

TILE = 1024
"""Instruments between two aggregations: their profit and loss in a block (2 MB) stays in the shared cache."""

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
    cell_tail: dict[str, Tail]  # model -> (n_cells,); NaN where a cell's P&L is not finite
    failed: dict[int, str]  # row of Accounts -> why its P&L is not a number
    revaluations: int  # instruments × scenarios


def run_all(pool: Executor, tasks: Iterable[Callable[[], Any]], report: Callable[[float], None], total: int) -> None:
    """Run tasks on the pool, reporting the share done; the first failure, or an interrupt, cancels the rest."""
    pending: set[Future[Any]] = {pool.submit(task) for task in tasks}
    try:
        done_count = 0
        while pending:
            # The timeout lets a signal reach the main thread while every worker is busy.
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            done_count += len(done)
            report(done_count / max(1, total))
    except BaseException:
        for future in pending:
            future.cancel()
        raise


def cells_of(book: Book) -> Cells:
    """The cells of a book's non-zero positions."""
    p = book.positions
    held = p.quantity != 0
    n_accounts = len(book.accounts.house)
    key = book.instruments.underlying[p.instrument[held]].astype(np.int64) * n_accounts + p.account[held]
    cell, of_position = np.unique(key, return_inverse=True)
    return Cells((cell % n_accounts).astype(np.int32), (cell // n_accounts).astype(np.int32), of_position)


def value(book: Book, config: Config, rows: I8, pool: Executor) -> tuple[backend.Valuation, list[Underlying]]:
    """Prices and Greeks of some instruments today, per unit of the underlying in its quote currency.

    Args:
        rows: rows of Book.instruments.

    Returns:
        Arrays over all instruments of the book, NaN for those not asked for, and the underlyings that were built.
    """
    parts = underlyings(book, config, rows)
    out = backend.Valuation(*(np.full(len(book.instruments.kind), np.nan) for _ in backend.Valuation._fields))

    def one(part: Underlying) -> None:
        for column, values in zip(out, backend.price(part.instruments, part.market), strict=True):
            column[part.row] = values

    for _ in pool.map(one, parts):
        pass
    return out, parts


def revalue(
    book: Book,
    config: Config,
    factors: Factors,
    parts: list[Underlying],
    sets: list[ScenarioSet],
    cells: Cells,
    pool: Executor,
    progress: Progress = nothing,
) -> Revaluation:
    """Profit and loss of every account, and the tail of every cell, in every scenario of every model.

    Args:
        parts: the underlyings held, of `value`.
        sets: the models' scenarios.
        cells: of `cells_of`.
    """
    n_accounts = len(book.accounts.house)
    pnl = {s.model: np.zeros((n_accounts, len(s.name))) for s in sets}
    n_cells = len(cells.account)
    tails = {s.model: Tail(*(np.full(n_cells, np.nan) for _ in Tail._fields)) for s in sets}
    failed: dict[int, str] = {}
    holdings = _holdings(book, cells, parts)

    work = sum(len(part.row) for part in parts) * sum(len(s.name) for s in sets)
    done = 0
    for batch in _batches(parts, cells, sum(len(s.name) for s in sets)):
        for s in sets:
            share = sum(len(part.row) for part in batch) * len(s.name) / max(1, work)
            before = done

            def report(fraction: float, before: float = before, share: float = share) -> None:
                progress("revalue", before + fraction * share)

            _batch(book, config, factors, batch, s, cells, holdings, pnl[s.model], tails[s.model], failed, pool, report)
            done += share
    progress("revalue", 1.0)
    return Revaluation(pnl, tails, failed, work)


def _batches(parts: list[Underlying], cells: Cells, n_scenarios: int) -> Iterator[list[Underlying]]:
    """Consecutive underlyings whose cells' profit and loss fits the budget."""
    size = np.bincount(cells.underlying, minlength=1) * n_scenarios * 8
    batch: list[Underlying] = []
    used = 0
    for part in parts:
        if batch and used + size[part.index] > BATCH_BYTES:
            yield batch
            batch, used = [], 0
        batch.append(part)
        used += int(size[part.index])
    if batch:
        yield batch


def _batch(
    book: Book,
    config: Config,
    factors: Factors,
    batch: list[Underlying],
    scenarios: ScenarioSet,
    cells: Cells,
    holdings: dict[int, list[Holdings]],
    pnl: F8,
    tails: Tail,
    failed: dict[int, str],
    pool: Executor,
    report: Callable[[float], None],
) -> None:
    n = len(scenarios.name)
    blocks = [slice(b, min(b + BLOCK, n)) for b in range(0, n, BLOCK)]
    first = int(np.searchsorted(cells.underlying, batch[0].index))
    last = int(np.searchsorted(cells.underlying, batch[-1].index, side="right"))
    cell_pnl = np.zeros((last - first, n))

    def prepare(part: Underlying) -> tuple[Shocks, Prepared]:
        state = shocks(book, config, factors, part, scenarios.shock)
        return state, backend.prepare(part.instruments, part.market, state)

    prepared = dict(zip((part.index for part in batch), pool.map(prepare, batch), strict=True))

    def task(part: Underlying, block: slice) -> None:
        state, ready = prepared[part.index]
        begin, end = np.searchsorted(cells.underlying, [part.index, part.index + 1]) - first
        out = cell_pnl[begin:end, block]
        buffer = np.empty((min(TILE, len(part.row)), block.stop - block.start))
        for t, held in enumerate(holdings[part.index]):
            rows = slice(t * TILE, min((t + 1) * TILE, len(part.row)))
            tile = buffer[: rows.stop - rows.start]
            instruments = Instruments(*(column[rows] for column in part.instruments))
            backend.revalue(
                instruments, part.market, state, ready._replace(price=ready.price[rows]), block, tile
            )
            backend.aggregate(held, tile, out)

    tasks = [(lambda p=part, b=block: task(p, b)) for part in batch for block in blocks]
    run_all(pool, tasks, report, len(tasks))

    finite = np.isfinite(cell_pnl).all(axis=1)
    for cell in np.flatnonzero(~finite):
        scenario = scenarios.name[int(np.flatnonzero(~np.isfinite(cell_pnl[cell]))[0])]
        name = book.underlyings.name[int(cells.underlying[first + cell])].as_py()
        failed.setdefault(
            int(cells.account[first + cell]), f"profit and loss on {name} is not finite in {scenarios.model}:{scenario}"
        )

    def measure(rows: slice) -> None:
        measured = backend.tail(-np.where(finite[rows, None], cell_pnl[rows], 0.0), config.level)
        for column, values in zip(tails, measured, strict=True):
            column[first + rows.start : first + rows.stop] = np.where(finite[rows], values, np.nan)

    def accumulate(block: slice) -> None:
        for part in batch:
            begin, end = np.searchsorted(cells.underlying, [part.index, part.index + 1])
            pnl[cells.account[begin:end], block] += cell_pnl[begin - first : end - first, block]

    step = max(1, (1 << 20) // n)
    chunks = [slice(r, min(r + step, last - first)) for r in range(0, last - first, step)]
    later = [(lambda r=rows: measure(r)) for rows in chunks] + [(lambda b=block: accumulate(b)) for block in blocks]
    run_all(pool, later, lambda _: None, len(later))


def _holdings(book: Book, cells: Cells, parts: list[Underlying]) -> dict[int, list[Holdings]]:
    """For each underlying, tile by tile of its instruments, who holds how much; cells counted within the underlying."""
    p = book.positions
    held = p.quantity != 0
    instrument, quantity = p.instrument[held], p.quantity[held]
    slot = np.zeros(len(book.instruments.kind), dtype=np.int64)
    tile_of_part = np.zeros(len(book.underlyings.spot) + 1, dtype=np.int64)
    n_tiles = 0
    for part in parts:
        slot[part.row] = np.arange(len(part.row))
        tile_of_part[part.index] = n_tiles
        n_tiles += -(-len(part.row) // TILE)
    underlying = book.instruments.underlying[instrument]
    at = slot[instrument]
    tile = tile_of_part[underlying] + at // TILE
    n_cells = max(1, len(cells.account))
    order = np.argsort((tile * n_cells + cells.of_position) * TILE + at % TILE, kind="stable")
    tile, cell, at, quantity = tile[order], cells.of_position[order], at[order] % TILE, quantity[order]
    edges = np.searchsorted(tile, np.arange(n_tiles + 1))
    first_cell = np.searchsorted(cells.underlying, np.arange(len(book.underlyings.spot)))

    out: dict[int, list[Holdings]] = {}
    for part in parts:
        base = tile_of_part[part.index]
        out[part.index] = [
            _compressed(cell[b:e] - first_cell[part.index], at[b:e], quantity[b:e])
            for b, e in (edges[base + t : base + t + 2] for t in range(-(-len(part.row) // TILE)))
        ]
    return out


def _compressed(cell: I8, instrument: I8, quantity: F8) -> Holdings:
    """Compressed rows of holdings sorted by cell."""
    begin = np.flatnonzero(np.concatenate([[True], cell[1:] != cell[:-1]])) if len(cell) else np.zeros(0, dtype=np.intp)
    return Holdings(cell[begin], np.concatenate([begin, [len(cell)]]), instrument, quantity)
