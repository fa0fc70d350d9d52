"""The margin of a constant book through history: today's positions at today's levels, under the scenarios of each date.

Only what follows the window of history moves: volatilities, the returns that are rescaled, their correlation. So the
path shows how the method itself reacts to markets.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
from threadpoolctl import threadpool_limits

from cpu_reference import Tail
from gpu_var import engine
from gpu_var.backend import Name
from gpu_var.margin import procyclicality as apc
from gpu_var.margin.measured import Measured
from gpu_var.margin.requirement import measured, scenario_sets
from gpu_var.market.factors import Factors
from gpu_var.scenarios import reference
from gpu_var.scenarios.model import ScenarioSet, measures
from gpu_var.tables.book import F8, I8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_procyclicality import AntiProcyclicality

BLOCK_BYTES = 64 << 20
"""Profit and loss held at a time, of the accounts or of the cells of one underlying; one date at least."""

EVERY = (1, 5, 10, 20, 30)
"""Rows of history from one date of a path to the next."""

MOST = 3_000_000_000
"""Revaluations that a path takes where nothing else is asked for: some minutes on two cores."""

_CHUNK = 1 << 20
_FOLLOWING = ("fhs", "monte_carlo")


@dataclass(frozen=True)
class MarginPath:
    """Margins through history, base currency, not negative: the core, without add-ons and charges."""

    date: I8  # (n_dates,) microseconds since 1970 UTC, ascending; the last is the last of history up to as_of
    every: int  # rows of history from one date to the next
    margin: dict[str, F8]  # method -> (n_dates, n_accounts), NaN for failed accounts
    failed: dict[int, str]  # account -> why it has no margin
    notes: list[str]
    revaluations: int  # instruments × scenarios × dates

    @property
    def total(self) -> dict[str, F8]:
        """Method -> (n_dates,) the sum over the accounts that did not fail."""
        return {method: np.nansum(margin, axis=1) for method, margin in self.margin.items()}


def path_rows(book: Book, config: Config, factors: Factors, days: int | None, every: int) -> I8:
    """Rows of history at which the path is computed, ascending: every k-th, counted back from the last up to as_of.

    Args:
        days: rows of history that the path goes back, as far as look-backs are whole unless given.
    """
    last = int(np.searchsorted(book.history.date, config.as_of_us, side="right")) - 1
    first = reference.first_row(book, config, factors)
    if days is not None:
        first = max(first, last - days)
    return np.arange(last, first - 1, -every, dtype=np.int64)[::-1]


def usual_every(book: Book, config: Config, factors: Factors, days: int | None) -> int:
    """The first of `EVERY` with which the path takes at most `MOST` revaluations, or the last of them."""
    models = [(config.fhs and config.fhs.lookback) or 0, (config.monte_carlo and config.monte_carlo.paths) or 0]
    a_date = int(np.count_nonzero(book.held)) * sum(models) * (3 if config.stress is None else 2)
    fits = (every for every in EVERY if a_date * len(path_rows(book, config, factors, days, every)) <= MOST)
    return next(fits, EVERY[-1])


def margin_path(
    book: Book,
    config: Config,
    factors: Factors,
    *,
    days: int | None = None,
    every: int | None = None,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: engine.Progress = engine.nothing,
) -> MarginPath:
    """The margin of every account on dates of history, as calculated and under each option of [antiprocyclicality].

    Parameters are those of [antiprocyclicality], or its defaults. Without [stress], `stressed` takes as its stress the
    same scenarios at each factor's most stressed volatility in the reference look-back up to that date.
    `countercyclical` starts from the calculated margin of the first date, and the cap over k rows of history is
    (1 + max_daily_rise)^k − 1. [scan] and [stress] do not follow history: they stand in core as they are today.

    Args:
        days, every: as of `path_rows`; `usual_every` unless given.
        backend, precision, threads, progress: as of `requirement`.

    Raises:
        ValueError: neither [fhs] nor [monte_carlo] is enabled, or there are fewer than two such dates.
    """
    if config.fhs is None and config.monte_carlo is None:
        raise ValueError("no model follows volatility; expected a table [fhs] or [monte_carlo]")
    every = every or usual_every(book, config, factors, days)
    rows = path_rows(book, config, factors, days, every)
    if len(rows) < 2:
        dates = "one date" if len(rows) else "no date"
        raise ValueError(f"history has {dates} on the path with a whole look-back before it; expected two or more")
    table = config.antiprocyclicality or AntiProcyclicality(option="buffer")
    plain = _plain(config)
    progress("today", 0.0)
    today = measured(book, plain, factors, backend=backend, precision=precision, threads=threads)
    progress("today", 1.0)
    following = plain.model_copy(update={"stress": None, "scan": None})
    walk = _Walk(today, following, table, progress, dict(today.failed))
    margin: dict[str, list[F8]] = {method: [] for method in apc.METHODS}
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for tails in walk.dates(rows, pool):
            previous = margin["countercyclical"][-1] if margin["countercyclical"] else None
            for method, amount in _methods(tails, today, table, every, previous).items():
                margin[method].append(amount)
    short = reference.shortfall(book, config, factors, table.lookback)
    paths = {method: np.stack(amounts) for method, amounts in margin.items()}
    for path in paths.values():
        path[:, list(walk.failed)] = np.nan
    return MarginPath(
        date=book.history.date[rows],
        every=every,
        margin=paths,
        failed=walk.failed,
        notes=([f"{short}, and from fewer on earlier dates"] if short else []) + _about_stress(config),
        revaluations=walk.revaluations,
    )


def _plain(config: Config) -> Config:
    """Without what makes auxiliary scenarios, of which the core knows nothing."""
    carlo = config.monte_carlo and config.monte_carlo.model_copy(update={"dependence_addon": None})
    return config.model_copy(update={"antiprocyclicality": None, "monte_carlo": carlo})


def _about_stress(config: Config) -> list[str]:
    if config.stress is not None:
        return []
    return [
        "without [stress], `stressed` takes the scenarios at each factor's highest volatility over any "
        f"{reference.YEAR} returns of the reference look-back"
    ]


@dataclass
class _Walk:
    """Revalues the book of `today` in the scenarios of other dates, some dates at a time."""

    today: Measured
    config: Config  # of the models that follow history
    table: AntiProcyclicality
    progress: engine.Progress
    failed: dict[int, str] = field(default_factory=dict)  # account -> why it has no margin
    revaluations: int = 0

    def dates(self, rows: I8, pool: ThreadPoolExecutor) -> Iterator[dict[str, Tail]]:
        """The tails of the accounts by model, date by date: of each model, its long-run and its stressed scenarios."""
        block: list[list[ScenarioSet]] = []
        room, done = 0, 0
        for row in rows.tolist():
            sets = self._sets(row, pool)
            size = sum(len(s.name) for s in sets) * self._width()
            if block and room + size > BLOCK_BYTES:
                yield from self._tails(block, done, len(rows))
                done += len(block)
                block, room = [], 0
            block.append(sets)
            room += size
        yield from self._tails(block, done, len(rows))

    def _width(self) -> int:
        """Bytes that one scenario takes."""
        cells = np.bincount(self.today.cells.underlying, minlength=1)
        return 8 * max(len(self.today.book.accounts.house), int(cells.max()))

    def _sets(self, row: int, pool: ThreadPoolExecutor) -> list[ScenarioSet]:
        m = self.today
        config = reference.as_of(self.config, m.book, row)
        own = scenario_sets(m.book, config, m.factors, m.backend, pool)
        returns = reference.reference_returns(m.book, config, m.factors, self.table.lookback)
        targets = {reference.LONG_RUN: reference.long_run}
        if "stress" not in m.tails:
            targets[reference.STRESSED] = reference.most_stressed
        return own + [
            reference.at_volatility(
                s, m.book, config, m.factors, m.backend, volatility(returns, reference.kind_of(config, s.model)), suffix
            )
            for s in own
            for suffix, volatility in targets.items()
        ]

    def _tails(self, block: list[list[ScenarioSet]], done: int, total: int) -> Iterator[dict[str, Tail]]:
        m = self.today
        named = [replace(s, model=f"{s.model}@{d}") for d, sets in enumerate(block) for s in sets]

        def report(_stage: str, fraction: float) -> None:
            self.progress("through history", (done + fraction * len(block)) / total)

        revalued = engine.revalue(
            m.book, m.config, m.factors, m.parts, named, m.cells, m.backend, m.threads, m.precision, report
        )
        self.revaluations += revalued.revaluations
        for cell, reason in revalued.failed.items():
            self.failed.setdefault(int(m.cells.account[cell]), reason)
        for d, sets in enumerate(block):
            yield {s.model: self._tail(revalued.pnl.pop(f"{s.model}@{d}"), s.samples) for s in sets}

    def _tail(self, pnl: F8, samples: int) -> Tail:
        m = self.today
        if self.failed:
            pnl[list(self.failed)] = np.nan
        step = max(1, _CHUNK // pnl.shape[1])
        parts = [
            measures(m.backend, -pnl[r : r + step], samples, m.config.level) for r in range(0, max(1, len(pnl)), step)
        ]
        return Tail(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _methods(
    tails: dict[str, Tail], today: Measured, table: AntiProcyclicality, every: int, previous: F8 | None
) -> dict[str, F8]:
    """(n_accounts,) by method on one date.

    Args:
        previous: the countercyclical margin of the date before, `every` rows of history earlier; None on the first.
    """
    config, scan = today.config, None if today.scan is None else today.scan.amount
    steady = {name: tail for name, tail in today.tails.items() if name not in _FOLLOWING}
    with np.errstate(over="ignore", invalid="ignore"):
        every_tail = {**tails, **steady}
        calculated = apc.core_of(every_tail, scan, config)
        long_run = apc.core_of(every_tail, scan, config, reference.LONG_RUN)
        rest = apc.core_without_stress(every_tail, scan, config)
        stress = (
            apc.stress_of(every_tail, config)
            if "stress" in every_tail
            else apc.core_of(every_tail, scan, config, reference.STRESSED)
        )
        floor = table.floor_share * long_run
        rise = (1.0 + table.max_daily_rise) ** every - 1.0
        return {
            "calculated": calculated,
            "buffer": apc.with_buffer(calculated, long_run, table.buffer, table.run_down_start, table.run_down_end),
            "stressed": apc.with_stress(rest, stress, table.stressed_weight),
            "floor": apc.with_floor(calculated, long_run),
            "countercyclical": apc.with_floor(calculated, floor)
            if previous is None
            else apc.countercyclical(calculated, floor, previous, rise),
        }
