"""A shard of a run: what it is given, what it computes, and the arrays that it brings back.

It needs nothing but the run's market and its own positions, so it may be computed anywhere, and to the same bits.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from cpu_reference.price import Valuation
from gpu_var import engine
from gpu_var.backend import Name, load_backend
from gpu_var.batch.store import Arrays
from gpu_var.cells import cells_of
from gpu_var.market.factors import Factors
from gpu_var.market.state import underlyings
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables.book import I8, Book, Positions
from gpu_var.tables.config import Config
from gpu_var.tables.slices import held_by_nameless

Report = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Market:
    """What all shards of a run share."""

    book: Book  # of `slices.nobodys`
    config: Config
    factors: Factors
    sets: tuple[ScenarioSet, ...]
    backend: Name
    precision: str


class Shard(Protocol):
    """A part of a run."""

    @property
    def name(self) -> str:
        """Unique in the run; the name of a file."""

    @property
    def stage(self) -> str:
        """Of the run."""

    @property
    def work(self) -> int:
        """How much it is, compared with others of its stage."""

    def compute(self, market: Market, threads: int, report: Report) -> Arrays:
        """Compute it on so many threads, which change no bit, reporting the share that is done."""


@dataclass(frozen=True, eq=False)
class Valuing:
    """Today's prices and Greeks of some instruments: `valuation` (n_columns, n_rows) in the order of `rows`."""

    name: str
    rows: I8  # of Book.instruments
    stage = "greeks"

    @property
    def work(self) -> int:
        """Instruments."""
        return len(self.rows)

    def compute(self, market: Market, threads: int, report: Report) -> Arrays:
        """See `Shard`."""
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
            backend = load_backend(market.backend)
            valuation, _ = engine.value(market.book, market.config, self.rows, backend, pool)
        report(1.0)
        return {"valuation": np.stack([column[self.rows] for column in valuation])}


def fill(valuation: Valuation, rows: I8, result: Arrays) -> None:
    """Enter the result of `Valuing` for some rows."""
    for column, values in zip(valuation, result["valuation"], strict=True):
        column[rows] = values


@dataclass(frozen=True, eq=False)
class Revaluing:
    """Positions of some accounts in some underlyings, revalued in the scenarios of all models.

    Brings `account` (n,) those that hold something, and of each model M `pnl.M` (n, n_scenarios) theirs, base currency,
    gains positive, and `tail.M` (n_measures, n_cells) of the cells ascending by (underlying, account); `failed`, the
    reasons by cell as JSON; `direct` as in `engine.Revaluation`; and `counts`: cells, revaluations.
    """

    name: str
    work: int
    positions: Positions  # none of them zero; accounts counted within the chunk
    stage = "revalue"

    def compute(self, market: Market, threads: int, report: Report) -> Arrays:
        """See `Shard`."""
        p, config, backend = self.positions, market.config, load_backend(market.backend)
        account, own = np.unique(p.account, return_inverse=True)
        positions = Positions(own.astype(np.int32), p.instrument, p.quantity)
        book = held_by_nameless(market.book, positions, len(account))
        with threadpool_limits(limits=1, user_api="blas"):
            cells = cells_of(book)
            found = engine.revalue(
                book,
                config,
                market.factors,
                underlyings(book, config, np.flatnonzero(book.held)),
                list(market.sets),
                cells,
                backend,
                threads,
                market.precision,
                lambda _stage, share: report(share),
            )
        return {
            "account": account.astype(np.int64),
            "failed": packed({str(cell): reason for cell, reason in sorted(found.failed.items())}),
            "direct": np.array(sorted(found.direct), dtype=np.int64),
            "counts": np.array([len(cells.account), found.revaluations], dtype=np.int64),
            **{f"tail.{model}": np.stack(tail) for model, tail in found.cell_tail.items()},
            **{f"pnl.{model}": backend.to_host(pnl) for model, pnl in found.pnl.items()},
        }


def packed(tree: dict[str, str]) -> npt.NDArray[np.uint8]:
    """As bytes."""
    return np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8)


def unpacked(array: npt.NDArray[Any]) -> dict[str, str]:
    """What was packed."""
    tree: dict[str, str] = json.loads(array.tobytes())
    return tree
