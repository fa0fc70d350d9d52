"""The engine's loop for a scan: few scenarios, on instruments whose volatilities the scenarios may move one by one."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np

from cpu_reference.types import Shocks
from gpu_var.backend import Backend
from gpu_var.cells import Cells, holders_of
from gpu_var.engine import Ready, revalue_block, run_all
from gpu_var.market.state import Underlying
from gpu_var.tables.book import F8, I8, Book


class Part(NamedTuple):
    """An underlying and what its instruments go through."""

    underlying: Underlying
    price: F8 | None  # (n_instruments,) today's; None: those of the first pass's volatilities, by the same arithmetic
    passes: "list[Pass]"


class Pass(NamedTuple):
    """Scenarios that move an underlying's volatilities alike."""

    vol: tuple[F8, F8]  # of `Underlying.instruments` and `listed`, each option's own in these scenarios; NaN else
    shocks: Shocks  # host arrays, (…, n_scenarios of the pass)
    column: I8  # (n_scenarios of the pass,) column of the result


def revalue_passes(
    book: Book,
    cells: Cells,
    parts: Sequence[Part],
    n_columns: int,
    backend: Backend,
    threads: int,
) -> F8:
    """Profit and loss of portfolios against today's prices.

    Sums have a fixed order, in float64: the bits do not depend on the number of threads.

    Args:
        cells: the portfolios, ascending by underlying.
        parts: the underlyings held, ascending.
        n_columns: scenarios of all passes of an underlying.

    Returns:
        (n_cells, n_columns) float64 in base currency, gains positive.
    """
    out = np.zeros((len(cells.account), n_columns))
    held = holders_of(book, cells, [[part.underlying] for part in parts], backend)
    tasks = []
    # One after another, as in the engine: fits are many short steps of Python.
    for part, price, passes in parts:
        # Where today's prices are given, no premium need be fitted for today's maturities.
        market = part.market if price is None else part.market._replace(today=part.market.horizon)
        today = price
        holders = held.of(part.position)
        for one in passes:
            instruments = part.instruments._replace(vol=one.vol[0])
            prepared = backend.prepare(instruments, market, one.shocks, part.listed._replace(vol=one.vol[1]))
            today = prepared.price if today is None else today
            moved = one.shocks.moving(backend.to_device)
            ready = Ready(instruments, part.market, moved, prepared._replace(price=today), holders, [part.position])
            tasks.append(partial(_run, backend, ready, one.column, out[cells.of(part.position)]))
    with ThreadPoolExecutor(backend.workers(threads)) as lane:
        run_all(lane, tasks)
    return out


def _run(backend: Backend, ready: Ready, column: I8, into: F8) -> None:
    """One pass of one underlying, block by block."""
    for begin in range(0, len(column), backend.BLOCK):
        block = slice(begin, min(begin + backend.BLOCK, len(column)))
        pnl = backend.zeros((len(into), block.stop - begin))
        revalue_block(backend, "float64", ready, block, pnl)
        into[:, column[block]] = backend.to_host(pnl)
