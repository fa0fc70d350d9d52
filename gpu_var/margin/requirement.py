"""From a book to what every account must post."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from cpu_reference import Tail
from gpu_var import engine
from gpu_var.backend import Backend, Name, load_backend
from gpu_var.margin.addons import AddOns, Sensitivities, add_ons, sensitivities
from gpu_var.margin.core import Core, core
from gpu_var.market.factors import Factors
from gpu_var.market.state import fx_rates
from gpu_var.scenarios.fhs import historical
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.scenarios.monte_carlo import monte_carlo
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config


@dataclass(frozen=True)
class Requirement:
    """The result of a run, as tables and as the profit and loss behind them."""

    margin: pa.Table
    breakdown: pa.Table
    pnl: dict[str, F8]  # model -> (n_accounts, n_scenarios), base currency, gains positive, rows as in `margin`
    scenarios: dict[str, list[str]]
    notes: list[str]
    counts: dict[str, int]
    timings: dict[str, float]  # seconds by stage


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
    timings: dict[str, float] = {}
    computes = load_backend(backend)
    count = threads or os.cpu_count() or 1

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        progress(name, 0.0)
        begin = time.perf_counter()
        yield
        timings[name] = time.perf_counter() - begin
        progress(name, 1.0)

    # One BLAS thread: the cores are ours already, and several may round differently.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        try:
            with stage("scenarios"):
                sets = _scenarios(book, config, factors, computes, pool)
            with stage("greeks"):
                cells = engine.cells_of(book)
                held = np.flatnonzero(book.held)
                valuation, parts = engine.value(book, config, held, computes, pool)
            with stage("revalue"):
                revalued = engine.revalue(
                    book, config, factors, parts, sets, cells, computes, count, precision, progress
                )
            with stage("measures"), np.errstate(over="ignore", invalid="ignore"):
                fx = fx_rates(book, config.base_currency)
                sensitivity = sensitivities(book, config, cells, valuation, fx)
                cell_core = core(revalued.cell_tail, config)
                extra = add_ons(book, config, cells, sensitivity, cell_core.amount, fx)
                failed = _failed_accounts(book, cells, revalued, sensitivity, extra)
                tails = _account_tails(revalued, failed, config, computes)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise

    counts = {
        "accounts": len(book.accounts.house),
        "accounts_failed": len(failed),
        "positions": len(book.positions.quantity),
        "cells": len(cells.account),
        "instruments": len(book.instruments.kind),
        "instruments_held": len(held),
        "underlyings_held": len(parts),
        "factors": len(factors.names),
        **{f"scenarios_{s.model}": len(s.name) for s in sets},
        "revaluations": revalued.revaluations,
    }
    return Requirement(
        margin=_margin_table(book, config, cells, tails, sets, sensitivity, extra, failed),
        breakdown=_breakdown_table(book, cells, revalued.cell_tail, cell_core, sensitivity, extra),
        pnl={model: computes.to_host(pnl) for model, pnl in revalued.pnl.items()},
        scenarios={s.model: s.name for s in sets},
        notes=_notes(book, sets, revalued),
        counts=counts,
        timings=timings,
    )


def _notes(book: Book, sets: list[ScenarioSet], revalued: engine.Revaluation) -> list[str]:
    notes = [
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
    if revalued.direct:
        names = [book.underlyings.name[u].as_py() for u in sorted(revalued.direct)]
        more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
        notes.append(
            f"American options on {', '.join(names[:5])}{more}: in some scenarios exercise is optimal between two "
            "boundaries, and these were priced one by one, slowly"
        )
    return notes


def _scenarios(
    book: Book, config: Config, factors: Factors, backend: Backend, pool: ThreadPoolExecutor
) -> list[ScenarioSet]:
    sets = []
    if config.fhs is not None:
        sets.append(historical(book, config, factors, backend))
    if config.monte_carlo is not None:
        sets.append(monte_carlo(book, config, factors, backend, pool))
    return sets


def _failed_accounts(
    book: Book, cells: engine.Cells, revalued: engine.Revaluation, sensitivity: Sensitivities, extra: AddOns
) -> dict[int, str]:
    """Account -> why it has no margin: the first of its cells with a number that is not finite."""
    columns = [*vars(sensitivity).values(), *vars(extra).values()]
    finite = np.isfinite(np.stack(columns)).all(axis=0)
    reasons = {
        int(c): f"a Greek of {book.underlyings.name[int(cells.underlying[c])].as_py()} is not finite"
        for c in np.flatnonzero(~finite)
    } | revalued.failed
    out: dict[int, str] = {}
    for cell in sorted(reasons):
        out.setdefault(int(cells.account[cell]), reasons[cell])
    return out


def _account_tails(
    revalued: engine.Revaluation, failed: dict[int, str], config: Config, backend: Backend
) -> dict[str, Tail]:
    """The tails of the accounts; all is NaN for a failed account, which the tables show as null."""
    out = {}
    for model, pnl in revalued.pnl.items():
        if failed:
            pnl[list(failed)] = np.nan
        step = max(1, (1 << 20) // pnl.shape[1])
        parts = [backend.tail(-pnl[r : r + step], config.level) for r in range(0, max(1, len(pnl)), step)]
        out[model] = Tail(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    return out


_MEASURES = {"fhs": ("fhs", ("var", "es", "worst")), "monte_carlo": ("mc", ("var", "var_se", "es", "es_se", "worst"))}


def _columns(tails: dict[str, Tail], n: int, measures: tuple[str, ...]) -> dict[str, pa.Array]:
    """The measures' columns in the contract's order; null for a model that is off."""
    out = {}
    for model, (prefix, names) in _MEASURES.items():
        for name in names:
            if name not in measures:
                continue
            values = getattr(tails[model], name) if model in tails else None
            out[f"{prefix}_{name}"] = pa.nulls(n, pa.float64()) if values is None else _numbers(values)
    return out


def _numbers(values: F8) -> pa.Array:
    """float64, null where NaN; no negative zeros."""
    return pa.array(values + 0.0, mask=np.isnan(values), type=pa.float64())


def _floored(tails: dict[str, Tail]) -> dict[str, Tail]:
    return {
        m: t._replace(var=np.maximum(t.var, 0.0), es=np.maximum(t.es, 0.0), worst=np.maximum(t.worst, 0.0))
        for m, t in tails.items()
    }


def _margin_table(
    book: Book,
    config: Config,
    cells: engine.Cells,
    tails: dict[str, Tail],
    sets: list[ScenarioSet],
    sensitivity: Sensitivities,
    extra: AddOns,
    failed: dict[int, str],
) -> pa.Table:
    n = len(book.accounts.house)

    def by_account(amount: F8) -> F8:
        return np.asarray(np.bincount(cells.account, amount, n), dtype=np.float64)

    chosen = core(tails, config)
    broken = np.zeros(n, dtype=np.bool_)
    broken[list(failed)] = True
    amount = np.where(broken, np.nan, np.maximum(chosen.amount, 0.0))
    concentration = by_account(extra.concentration)
    liquidity = by_account(extra.liquidity_delta + extra.liquidity_vega)
    nothing_held = np.ones(n, dtype=np.bool_)
    nothing_held[cells.account] = False
    status = np.full(n, "ok", dtype=object)
    for account, reason in failed.items():
        status[account] = f"failed: {reason}"
    unnamed = nothing_held | broken
    return pa.table(
        {
            "account": book.accounts.name,
            "currency": pa.array([config.base_currency] * n, pa.string()),
            "status": pa.array(status, pa.string()),
            "margin": _numbers(amount + concentration + liquidity),
            "core": _numbers(amount),
            "core_model": pa.array(np.array(chosen.models, dtype=object)[chosen.model], pa.string(), mask=unnamed),
            "worst_scenario": pa.array(_worst_scenario(chosen, tails, sets), pa.string(), mask=unnamed),
            "concentration": _numbers(np.where(broken, np.nan, concentration)),
            "liquidity": _numbers(np.where(broken, np.nan, liquidity)),
            **_columns(_floored(tails), n, ("var", "var_se", "es", "es_se", "worst")),
            "scan": pa.nulls(n, pa.float64()),
            "stress": pa.nulls(n, pa.float64()),
            "net_option_value": _numbers(np.where(broken, np.nan, by_account(sensitivity.net_option_value))),
        }
    )


def _worst_scenario(chosen: Core, tails: dict[str, Tail], sets: list[ScenarioSet]) -> np.ndarray:
    """The scenario of the core model's largest loss, as "model:name"."""
    out = np.full(len(chosen.model), "", dtype=object)
    names = {s.model: s.name for s in sets}
    for m, model in enumerate(chosen.models):
        at = chosen.model == m
        labels = np.array([f"{model}:{name}" for name in names[model]], dtype=object)
        out[at] = labels[tails[model].scenario[at].astype(np.intp)]
    return out


def _breakdown_table(
    book: Book,
    cells: engine.Cells,
    tails: dict[str, Tail],
    chosen: Core,
    sensitivity: Sensitivities,
    extra: AddOns,
) -> pa.Table:
    names = book.underlyings.name.take(pa.array(cells.underlying))
    by_name = np.argsort(np.array([name.encode() for name in book.underlyings.name.to_pylist()], dtype=object))
    rank = np.empty(len(by_name), dtype=np.intp)
    rank[by_name] = np.arange(len(by_name))
    order = np.lexsort((rank[cells.underlying], cells.account))
    table = pa.table(
        {
            "account": book.accounts.name.take(pa.array(cells.account)),
            "underlying": names,
            "currency": pa.array(np.array(book.currencies.name, dtype=object), pa.string()).take(
                pa.array(book.underlyings.currency[cells.underlying])
            ),
            "delta": _numbers(sensitivity.delta),
            "gamma": _numbers(sensitivity.gamma),
            "vega": _numbers(sensitivity.vega),
            "theta": _numbers(sensitivity.theta),
            **_columns(tails, len(cells.account), ("var", "es", "worst")),
            "core": _numbers(chosen.amount),
            "days_to_unwind": _numbers(extra.days_to_unwind),
            "horizon_days": _numbers(extra.horizon_days),
            "concentration": _numbers(extra.concentration),
            "liquidity_delta": _numbers(extra.liquidity_delta),
            "liquidity_vega": _numbers(extra.liquidity_vega),
            "net_option_value": _numbers(sensitivity.net_option_value),
        }
    )
    return table.take(pa.array(order)).combine_chunks()
