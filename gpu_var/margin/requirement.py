"""From a book to what every account must post."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from gpu_var import engine
from gpu_var.backend import Backend, Name, load_backend
from gpu_var.cells import cells_of
from gpu_var.margin.charges import charges
from gpu_var.margin.diagnostics import diagnostics
from gpu_var.margin.measured import Measured, Setting, measure
from gpu_var.margin.output import breakdown_table, margin_table, scan_table
from gpu_var.margin.scan import ScanResult, scan
from gpu_var.market.factors import Factors
from gpu_var.scenarios.fhs import historical
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.scenarios.monte_carlo import dependence_sets, monte_carlo
from gpu_var.scenarios.reference import reference_sets
from gpu_var.scenarios.stress import stress
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.pledged import with_collateral


@dataclass(frozen=True)
class Requirement:
    """The result of a run, as tables and as the profit and loss behind them."""

    tables: dict[str, pa.Table]  # margin and breakdown, and scan where [scan] is enabled
    pnl: dict[str, F8]  # model -> (n_accounts, n_scenarios), base currency, gains positive, rows as in `margin`
    scenarios: dict[str, list[str]]
    notes: list[str]
    counts: dict[str, int]
    timings: dict[str, float]  # seconds by stage
    measured: Measured


class Stages:
    """Seconds by stage, told as they pass."""

    def __init__(self, progress: engine.Progress) -> None:
        self.progress, self.seconds = progress, dict[str, float]()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.progress(name, 0.0)
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin
        self.progress(name, 1.0)


def requirement(
    book: Book,
    config: Config,
    factors: Factors,
    *,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: engine.Progress = engine.nothing,
) -> Requirement:
    """Margin every account of a book.

    Args:
        book: validated by `load`, as are config and factors.
        backend: who computes.
        precision: "float64", or "float32", a mode of the CUDA kernels.
        threads: worker threads, all cores unless given. The result's bits do not depend on it.
        progress: called with a stage and the share of it that is done.
    """
    stage = Stages(progress)
    m = measured(
        book, config, factors, backend=backend, precision=precision, threads=threads, progress=progress, stage=stage
    )
    with stage("measures"):
        tables = tables_of(m)
    counts = {
        "accounts": len(book.accounts.house),
        "accounts_failed": len(m.failed),
        "positions": len(book.positions.quantity),
        "cells": len(m.cells.account),
        "instruments": len(book.instruments.kind),
        "instruments_held": int(np.count_nonzero(m.book.held)),
        "underlyings_held": len(m.parts),
        "factors": len(factors.names),
        **{f"scenarios_{model}": len(s.name) for model, s in m.sets.items()},
        "revaluations": sum(len(part.row) for part in m.parts) * sum(len(s.name) for s in m.sets.values()),
    }
    pnl, scenarios = pnl_of(m)
    return Requirement(
        tables=tables,
        pnl=pnl,
        scenarios=scenarios,
        notes=m.notes,
        counts=counts,
        timings=stage.seconds,
        measured=m,
    )


def tables_of(m: Measured) -> dict[str, pa.Table]:
    """The tables of a run by name: `margin`, `breakdown`, `diagnostics`, and `scan` where [scan] is enabled."""
    tables = {"margin": margin_table(m, charges(m)), "breakdown": breakdown_table(m)}
    tables["diagnostics"] = diagnostics(tables["margin"], pnl_of(m)[0], m.book.accounts)
    if m.scan is not None:
        tables["scan"] = scan_table(m, m.scan)
    return tables


def pnl_of(m: Measured) -> tuple[dict[str, F8], dict[str, list[str]]]:
    """Profit and loss (n_accounts, n_scenarios) by model on the host, NaN for failed accounts, and the scenarios."""
    pnl = {model: m.backend.to_host(values) for model, values in m.pnl.items() if "." not in model}
    scenarios = {model: m.sets[model].name for model in pnl}
    if m.scan is not None:
        pnl["scan"], scenarios["scan"] = np.where(m.broken[:, None], np.nan, m.scan.pnl), m.scan.name
    return pnl, scenarios


def measured(
    book: Book,
    config: Config,
    factors: Factors,
    *,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: engine.Progress = engine.nothing,
    sets: Sequence[ScenarioSet] | None = None,
    keep_cells: bool = False,
    stage: Stages | None = None,
) -> Measured:
    """Revalue a book in the scenarios of its models and measure its accounts; arguments as for `requirement`.

    Args:
        sets: the scenarios, those of the configuration unless given.
        keep_cells: whether the profit and loss of every cell is kept as well: for the books of few accounts.
    """
    stage = stage or Stages(progress)
    book = with_collateral(book, config)
    computes = load_backend(backend)
    count = threads or os.cpu_count() or 1
    # One BLAS thread: the cores are ours already, and several may round differently.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        try:
            with stage("scenarios"):
                used = scenario_sets(book, config, factors, computes, pool) if sets is None else list(sets)
            with stage("greeks"):
                cells = cells_of(book)
                valuation, parts = engine.value(book, config, np.flatnonzero(book.held), computes, pool)
            setting = Setting(
                book, config, factors, computes, count, precision, {s.model: s for s in used}, cells, valuation, parts
            )
            with stage("revalue"):
                revalued = engine.revalue(
                    book, config, factors, parts, used, cells, computes, count, precision, progress, keep_cells
                )
                scanned = scan_of(setting)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    notes = notes_of(book, used, revalued.direct) + ([] if scanned is None else scanned.notes)
    return measure(setting, revalued.pnl, revalued.cell_tail, revalued.failed, scanned, revalued.cell_pnl, notes)


def scenario_sets(
    book: Book, config: Config, factors: Factors, backend: Backend, pool: ThreadPoolExecutor
) -> list[ScenarioSet]:
    """The scenarios of every enabled model but the scan, and the auxiliary ones that charges ask for."""
    sets = []
    if config.fhs is not None:
        sets.append(historical(book, config, factors, backend))
    if config.monte_carlo is not None:
        sets.append(monte_carlo(book, config, factors, backend, pool))
        sets += dependence_sets(book, config, factors, backend, pool)
    if config.stress is not None:
        sets.append(stress(book, config, factors))
    return sets + reference_sets(book, config, factors, sets, backend, pool)


def scan_of(s: Setting) -> ScanResult | None:
    """The scan, where [scan] is enabled."""
    if s.config.scan is None:
        return None
    return scan(s.book, s.config, s.cells, s.parts, s.valuation, s.fx, s.backend, s.threads)


def notes_of(book: Book, sets: Sequence[ScenarioSet], direct: set[int]) -> list[str]:
    """What the models' scenarios and their revaluation have to say.

    Args:
        direct: as in `engine.Revaluation`.
    """
    notes = [note for s in sets for note in s.notes]
    notes += [
        f"{s.model}: the floor of simple returns, a growth of 0.01, was reached {s.floored:,} times"
        for s in sets
        if s.floored
    ]
    notes += [
        f"{s.model}: the returns of {', '.join(s.steady)} do not vary over the look-back; "
        + ("their shock is 0" if s.model == "monte_carlo" else "their filter starts from the mean square")
        for s in sets
        if s.steady
    ]
    if direct:
        names = [book.underlyings.name[u].as_py() for u in sorted(direct)]
        more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
        notes.append(
            f"American options on {', '.join(names[:5])}{more}: in some scenarios exercise is optimal between two "
            "boundaries, and these were priced one by one, slowly"
        )
    return notes
