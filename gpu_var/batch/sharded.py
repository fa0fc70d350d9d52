"""From a book to what every account must post, shard by shard."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from cpu_reference.price import Valuation
from gpu_var import engine
from gpu_var.backend import Backend, Name, load_backend
from gpu_var.batch.assembly import Assembly
from gpu_var.batch.executors import Executor, Local
from gpu_var.batch.kept import Kept
from gpu_var.batch.plan import Plan, plan_shards
from gpu_var.batch.shards import Market, Revaluing, Shard, Valuing, fill
from gpu_var.batch.store import Arrays, Nowhere, Store, size_of
from gpu_var.batch.telling import Telling
from gpu_var.batch.totals import Totals
from gpu_var.cells import cells_of
from gpu_var.margin.measured import Measured, Setting, measure
from gpu_var.margin.requirement import notes_of, scan_of, scenario_sets
from gpu_var.market.factors import Factors
from gpu_var.market.state import underlyings
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.pledged import with_collateral
from gpu_var.tables.slices import by_group, nobodys, of_accounts

FOLD = 4
"""Results of shards that are kept, in multiples of what they add up to, before their sum is kept in their place."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of a run; see `run.Run`."""

    tables: Kept
    pnl: dict[str, F8]
    scenarios: dict[str, list[str]]
    notes: list[str]
    counts: dict[str, int]
    timings: dict[str, float]  # seconds by stage
    shards: dict[str, int]  # planned, and found as an interrupted run had left them
    measured: Setting  # the whole book; with its accounts measured, a `Measured`, where they were one chunk


def requirement(
    book: Book,
    config: Config,
    factors: Factors,
    *,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: engine.Progress = engine.nothing,
    store: Store | None = None,
    executor: Executor | None = None,
) -> Outcome:
    """Margin every account of a book.

    Args:
        book: validated by `load`, as are config and factors.
        backend: who computes.
        precision: "float64", or "float32", a mode of the CUDA kernels.
        threads: worker threads, all cores unless given. The result's bits do not depend on it.
        progress: called with a stage and the share of it that is done.
        store: where the results of shards are kept; what it has is not computed again.
        executor: who computes the shards, this process unless given. Neither do the bits depend on it.
    """
    count = threads or os.cpu_count() or 1
    telling, computes = Telling(progress), load_backend(backend)
    # One BLAS thread: the cores are ours already, and several may round differently.
    with threadpool_limits(limits=1, user_api="blas"):
        whole = with_collateral(book, config)
        telling.begin("scenarios")
        sets = _scenarios(whole, config, factors, computes, count)
        n_scenarios = sum(len(s.name) for s in sets)
        plan = plan_shards(whole, config, n_scenarios, backend)
        market = Market(nobodys(whole), config, factors, tuple(sets), backend, precision)
        setting = Setting(
            whole,
            config,
            factors,
            computes,
            count,
            precision,
            {s.model: s for s in sets},
            cells_of(nobodys(whole)),
            _unvalued(whole),
            [],
        )
        course = _Course(setting, plan, market, store or Nowhere(), executor or Local(count), telling)
        return course.run(int(book.positions_by_account.sum()))


def _scenarios(book: Book, config: Config, factors: Factors, backend: Backend, threads: int) -> list[ScenarioSet]:
    with ThreadPoolExecutor(threads) as pool:
        try:
            return scenario_sets(book, config, factors, backend, pool)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _unvalued(book: Book) -> Valuation:
    return Valuation(*(np.full(len(book.instruments.kind), np.nan) for _ in Valuation._fields))


def _value(group: int) -> str:
    return f"value-{group:06}"


def _shard(chunk: int, group: int) -> str:
    return f"{chunk:06}-{group:06}"


def _through(chunk: int, group: int) -> str:
    return f"{chunk:06}-through-{group:06}"


class _Course:
    """A run under way."""

    def __init__(
        self, setting: Setting, plan: Plan, market: Market, store: Store, executor: Executor, telling: Telling
    ) -> None:
        self._setting, self._plan, self._market = setting, plan, market
        self._store, self._executor, self._telling = store, executor, telling
        n_chunks, n_groups = len(plan.chunks), len(plan.groups)
        pairs = [(c, g) for c in range(n_chunks) for g in range(n_groups)]
        self._values = [_value(g) for g in range(n_groups)]
        planned = {*self._values, *(_shard(*pair) for pair in pairs)}
        self._have = store.check(planned | {_through(*pair) for pair in pairs})
        # The groups of each chunk that have been added up already.
        self._folded = [
            max((g + 1 for g in range(n_groups) if _through(c, g) in self._have), default=0) for c in range(n_chunks)
        ]
        self._rest = [(c, g) for c, g in pairs if g >= self._folded[c]]
        missing = sum(name not in self._have for name in [*self._values, *(_shard(*pair) for pair in self._rest)])
        self.counts = {"planned": len(planned), "found": len(planned) - missing}

    def run(self, n_positions: int) -> Outcome:
        """The whole of it."""
        setting, plan = self._setting, self._plan
        whole = setting.book
        assembly = Assembly(len(whole.accounts.house), len(plan.chunks), self._store.scratch)
        self._tell_plan()
        self._telling.begin("greeks")
        last: Setting = setting
        direct: set[int] = set()
        revaluations = 0
        with closing(self._executor.run(self._market, self._to_compute(), self._telling)) as computed:
            results = self._in_order(computed)
            for own in plan.rows:
                fill(setting.valuation, own, next(results)[1])
            self._telling.begin("revalue")
            for c, accounts in enumerate(plan.chunks):
                totals = self._added_up(c, results)
                direct |= totals.direct
                revaluations += totals.revaluations
                self._telling.begin("measures", told=c == len(plan.chunks) - 1)
                last = self._measured(accounts, totals)
                assembly.add(accounts, last)
                self._telling.begin("revalue", told=False)
        self._telling.end()
        held = whole.held
        counts = {
            "accounts": len(whole.accounts.house),
            "accounts_failed": assembly.failed,
            "positions": n_positions,
            "cells": assembly.cells,
            "instruments": len(whole.instruments.kind),
            "instruments_held": int(np.count_nonzero(held)),
            "underlyings_held": len(np.unique(whole.instruments.underlying[held])),
            "factors": len(setting.factors.names),
            **{f"scenarios_{model}": len(s.name) for model, s in setting.sets.items()},
            "revaluations": revaluations,
        }
        notes = notes_of(whole, list(setting.sets.values()), direct) + assembly.notes
        return Outcome(
            tables=assembly.tables,
            pnl=assembly.pnl,
            scenarios=assembly.scenarios,
            notes=list(dict.fromkeys(notes)),
            counts=counts,
            timings=self._telling.seconds,
            shards=self.counts,
            measured=last if len(plan.chunks) == 1 else setting,
        )

    def _tell_plan(self) -> None:
        plan, have = self._plan, self._have
        self._telling.plan(
            {"greeks": sum(map(len, plan.rows)), "revalue": int(plan.revaluations.sum())},
            {"greeks": len(plan.groups), "revalue": plan.revaluations.size},
        )
        for name, rows in zip(self._values, plan.rows, strict=True):
            if name in have:
                self._telling.found(name, "greeks", len(rows))
        for (c, g), work in np.ndenumerate(plan.revaluations):
            if g < self._folded[c] or _shard(c, g) in have:
                self._telling.found(_shard(c, g), "revalue", int(work))

    def _to_compute(self) -> Iterator[Shard]:
        """The shards whose results are not there, in order, each made when it is asked for."""
        for name, own in zip(self._values, self._plan.rows, strict=True):
            if name not in self._have:
                yield Valuing(name, own)
        book, groups, work = self._setting.book, self._plan.groups, self._plan.revaluations
        of_group = np.full(len(book.underlyings.spot), -1, dtype=np.int64)
        for g, group in enumerate(groups):
            of_group[group] = g
        for c, accounts in enumerate(self._plan.chunks):
            missing = [g for chunk, g in self._rest if chunk == c and _shard(c, g) not in self._have]
            if missing:
                positions = by_group(book, accounts, of_group, len(groups))
                for g in missing:
                    yield Revaluing(_shard(c, g), int(work[c, g]), positions[g])

    def _in_order(self, computed: Iterator[tuple[str, Arrays]]) -> Iterator[tuple[str, Arrays]]:
        """Results in the order of the plan, from the store or, as they come, from those who compute them."""
        waiting: dict[str, Arrays | None] = {}
        for name in [*self._values, *(_shard(*pair) for pair in self._rest)]:
            if name in self._have:
                yield name, self._store.load(name)
                continue
            while name not in waiting:
                done, arrays = next(computed)
                kept = self._store.save(done, arrays)
                # What comes too early waits where there is more room.
                waiting[done] = None if kept and done != name else arrays
            result = waiting.pop(name)
            yield name, self._store.load(name) if result is None else result

    def _added_up(self, chunk: int, results: Iterator[tuple[str, Arrays]]) -> Totals:
        """A chunk's accounts over all groups. Now and then the sum is kept in place of what it is made of."""
        n_groups, begin = len(self._plan.groups), self._folded[chunk]
        totals = Totals(len(self._plan.chunks[chunk]), self._market.sets)
        parts, size = [], 0
        if begin:
            parts.append(_through(chunk, begin - 1))
            totals.add(self._store.load(parts[0]))
        for g in range(begin, n_groups):
            name, result = next(results)
            totals.add(result)
            parts.append(name)
            size += size_of(result)
            ended = g == n_groups - 1
            full = size >= (1 if ended and len(self._plan.chunks) > 1 else FOLD) * totals.bytes
            if full and len(parts) > 1 and self._store.save(_through(chunk, g), totals.as_result()):
                self._store.drop(parts)
                parts, size = [_through(chunk, g)], 0
        return totals

    def _measured(self, accounts: range, totals: Totals) -> Measured:
        s = self._setting
        book = s.book
        if len(self._plan.chunks) > 1 or book.stored is not None:
            book = of_accounts(book, np.arange(accounts.start, accounts.stop))
        parts = underlyings(book, s.config, np.flatnonzero(book.held)) if s.config.scan is not None else []
        cells = cells_of(book)
        own = Setting(book, s.config, s.factors, s.backend, s.threads, s.precision, s.sets, cells, s.valuation, parts)
        scanned = scan_of(own)
        pnl, tails, failed = totals.take()
        on_device = {model: s.backend.to_device(values) for model, values in pnl.items()}
        return measure(own, on_device, tails, failed, scanned, None, [] if scanned is None else scanned.notes)
