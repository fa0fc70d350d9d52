"""The tables of a run: an account a row, a cell a row."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from cpu_reference import Tail
from gpu_var.margin.addons import expiry_columns
from gpu_var.margin.collateral import columns as collateral_columns
from gpu_var.margin.columns import numbers
from gpu_var.margin.core import BLEND, MEASURED
from gpu_var.margin.measured import Measured
from gpu_var.margin.scan import ScanResult
from gpu_var.tables.book import F8, I8, Bool

_PREFIX = {"fhs": "fhs", "monte_carlo": "mc"}
_OF_ACCOUNTS = {"fhs": ("var", "es", "worst"), "monte_carlo": ("var", "var_se", "es", "es_se", "worst")}
_OF_CELLS = dict.fromkeys(_PREFIX, ("var", "es", "worst"))


def margin_table(m: Measured, charged: dict[str, F8]) -> pa.Table:
    """`margin.parquet`: core, add-ons and charges of every account."""
    book, n = m.book, len(m.book.accounts.house)
    broken = m.broken
    amount = np.where(broken, np.nan, np.maximum(m.core.amount, 0.0))
    concentration = m.by_account(m.extra.concentration)
    liquidity = m.by_account(m.extra.liquidity_delta + m.extra.liquidity_vega)
    option_value = m.by_account(m.sensitivity.net_option_value)
    margin = amount + concentration + liquidity
    for charge in charged.values():
        margin = margin + charge
    nothing_held = np.ones(n, dtype=np.bool_)
    nothing_held[m.cells.account] = False
    status = np.full(n, "ok", dtype=object)
    for account, reason in m.failed.items():
        status[account] = f"failed: {reason}"
    unnamed = nothing_held | broken
    return pa.table(
        {
            "account": book.accounts.name,
            "currency": pa.array([m.config.base_currency] * n, pa.string()),
            "status": pa.array(status, pa.string()),
            "margin": numbers(margin),
            "core": numbers(amount),
            "core_model": pa.array(np.array(m.core.models, dtype=object)[m.core.model], pa.string(), mask=unnamed),
            "worst_scenario": pa.array(worst_scenarios(m), pa.string(), mask=unnamed),
            "concentration": numbers(np.where(broken, np.nan, concentration)),
            "liquidity": numbers(np.where(broken, np.nan, liquidity)),
            **_tail_columns(_floored(m.tails, broken), n, _OF_ACCOUNTS),
            "scan": _or_null(None if m.scan is None else _positive(np.where(broken, np.nan, m.scan.amount)), n),
            "stress": _or_null(_floored(m.tails, broken)["stress"].worst if "stress" in m.tails else None, n),
            "net_option_value": numbers(np.where(broken, np.nan, option_value)),
            **{name: numbers(charge) for name, charge in charged.items()},
            **collateral_columns(m, margin),
        }
    )


def worst_scenarios(m: Measured) -> np.ndarray:
    """(n_accounts,) the core model's largest loss, as "model:name"; of a blend, that of the models it is made of."""
    out = np.full(len(m.core.model), "", dtype=object)
    for at, model in enumerate(m.core.models):
        rows = np.flatnonzero(m.core.model == at)
        if model == "scan" and m.scan is not None:
            out[rows] = m.scan.worst_scenario[rows]
        elif model == BLEND:
            made_of = [other for other in MEASURED if other in m.tails]
            losses = np.stack([m.tails[other].worst[rows] for other in made_of])
            largest = np.nan_to_num(losses, nan=-np.inf).argmax(axis=0)
            for which, other in enumerate(made_of):
                of = rows[largest == which]
                out[of] = _labels(m, other, of)
        else:
            out[rows] = _labels(m, model, rows)
    return out


def breakdown_table(m: Measured) -> pa.Table:
    """`breakdown.parquet`: what each cell brings, not floored; ascending by account, then underlying."""
    book, cells, extra, greeks = m.book, m.cells, m.extra, m.sensitivity
    currencies = pa.array(np.array(book.currencies.name, dtype=object), pa.string())
    table = pa.table(
        {
            "account": book.accounts.name.take(pa.array(cells.account)),
            "underlying": book.underlyings.name.take(pa.array(cells.underlying)),
            "currency": currencies.take(pa.array(book.underlyings.currency[cells.underlying])),
            "delta": numbers(greeks.delta),
            "gamma": numbers(greeks.gamma),
            "vega": numbers(greeks.vega),
            "theta": numbers(greeks.theta),
            **_tail_columns(m.cell_tails, len(cells.account), _OF_CELLS),
            "core": numbers(m.cell_core.amount),
            "days_to_unwind": numbers(extra.days_to_unwind),
            "horizon_days": numbers(extra.horizon_days),
            "concentration": numbers(extra.concentration),
            "liquidity_delta": numbers(extra.liquidity_delta),
            "liquidity_vega": numbers(extra.liquidity_vega),
            "net_option_value": numbers(greeks.net_option_value),
            **{name: numbers(column) for name, column in expiry_columns(greeks).items()},
        }
    )
    return table.take(pa.array(_order(m))).combine_chunks()


def scan_table(m: Measured, scan: ScanResult) -> pa.Table:
    """`scan.parquet`: what the scan's amount is made of, cell by cell, in the order of `breakdown.parquet`."""
    names = {
        "account": m.book.accounts.name.take(pa.array(m.cells.account)),
        "underlying": m.book.underlyings.name.take(pa.array(m.cells.underlying)),
    }
    table = pa.table({**names, **{name: numbers(column) for name, column in scan.columns.items()}})
    return table.take(pa.array(_order(m))).combine_chunks()


def _order(m: Measured) -> np.ndarray:
    """Cells ascending by account, then by the name of the underlying."""
    names = np.array([name.encode() for name in m.book.underlyings.name.to_pylist()], dtype=object)
    rank = np.empty(len(names), dtype=np.intp)
    rank[np.argsort(names)] = np.arange(len(names))
    return np.lexsort((rank[m.cells.underlying], m.cells.account))


def _tail_columns(tails: dict[str, Tail], n: int, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, pa.Array]:
    """The measures' columns in the contract's order; null for a model that is off."""
    return {
        f"{_PREFIX[model]}_{name}": _or_null(getattr(tails[model], name) if model in tails else None, n)
        for model, names in wanted.items()
        for name in names
    }


def _or_null(values: F8 | None, n: int) -> pa.Array:
    return pa.nulls(n, pa.float64()) if values is None else numbers(values)


def _positive(values: F8) -> F8:
    return np.asarray(np.maximum(values, 0.0))


def _floored(tails: dict[str, Tail], broken: Bool) -> dict[str, Tail]:
    """Measures of accounts: floored at 0, NaN for failed accounts."""

    def shown(values: F8, floor: float) -> F8:
        return np.asarray(np.where(broken, np.nan, np.maximum(values, floor)))

    return {
        m: t._replace(
            var=shown(t.var, 0.0),
            es=shown(t.es, 0.0),
            worst=shown(t.worst, 0.0),
            var_se=shown(t.var_se, -np.inf),
            es_se=shown(t.es_se, -np.inf),
        )
        for m, t in tails.items()
    }


def _labels(m: Measured, model: str, rows: I8) -> np.ndarray:
    """The worst scenarios of some accounts, as "model:name"."""
    chosen, of_row = np.unique(m.tails[model].scenario[rows].astype(np.intp), return_inverse=True)
    return np.array([f"{model}:{m.sets[model].name[at]}" for at in chosen.tolist()], dtype=object)[of_row]
