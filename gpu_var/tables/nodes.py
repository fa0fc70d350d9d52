"""Forwards, vols, rates and fx: the market's nodes."""

import numpy as np
import pyarrow as pa

from gpu_var.tables.book import Nodes, Underlyings
from gpu_var.tables.columns import F8, I4, I8, Bool, Columns
from gpu_var.tables.findings import Findings, listed, shown
from gpu_var.tables.products import PLACEHOLDER, VOLATILITY_IN_PER_CENT, reference
from gpu_var.tables.times import NO_TIME, iso

NO_NODES = Nodes(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))


def forwards(table: Columns | None, owners: Underlyings | None) -> Nodes:
    """Forward prices by underlying and expiry."""
    if table is None:
        return NO_NODES
    owner, normal = reference(table, owners)
    expiry, forward = table.times("expiry"), table.numbers("forward")
    table.refuse_sign("forward", (forward <= 0) & (normal == 0))
    if owners is not None:
        none = np.append(~owners.carry, False)[owner]
        rule = "has carry 'none', its forward is its spot; expected no rows of forwards for it"
        table.report("underlying", "carry", none, lambda row: f"{table.shown('underlying', row)} {rule}")
    _unique(table, "underlying", owner, expiry)
    return _sorted(owner, expiry, np.zeros(0), forward)


def vols(table: Columns | None, owners: Underlyings | None, findings: Findings) -> Nodes:
    """Volatilities by underlying, expiry and strike."""
    if table is None:
        return NO_NODES
    owner, normal = reference(table, owners)
    expiry, strike, iv = table.times("expiry"), table.numbers("strike"), table.numbers("iv")
    table.refuse_sign("strike", (strike <= 0) & (normal == 0))
    _unique(table, "underlying", owner, expiry, strike)
    high = (iv > VOLATILITY_IN_PER_CENT) & (normal == 0)
    if owners is not None and high.any():
        names = owners.name.take(pa.array(np.unique(owner[high]))).to_pylist()
        findings.note(f"iv over 5, in per cent? underlyings {listed(names)} ({table.raw.label}, column iv)")
    iv[np.isnan(iv)] = PLACEHOLDER
    return _sorted(owner, expiry, strike, iv)


def rates(table: Columns | None) -> tuple[Nodes, pa.StringArray]:
    """Zero rates by currency and expiry, and the currencies that `owner` counts."""
    if table is None:
        return NO_NODES, pa.array([], pa.string())
    currency = table.identifiers("currency")
    expiry, rate = table.times("expiry"), table.numbers("rate")
    _unique(table, "currency", currency.code, expiry)
    return _sorted(currency.code, expiry, np.zeros(0), rate), currency.value


def fx(table: Columns | None) -> tuple[pa.StringArray, F8]:
    """The currencies and their rates."""
    if table is None:
        return pa.array([], pa.string()), np.zeros(0)
    currency, rate = table.identifiers("currency"), table.numbers("rate")
    names = currency.names()
    table.unique("currency", (currency.code,), currency.code >= 0, lambda row: shown(names[row].as_py()))
    keep = currency.code >= 0
    rate[np.isnan(rate)] = PLACEHOLDER
    return names.filter(pa.array(keep)), rate[keep]


def _unique(table: Columns, column: str, owner: I4, expiry: I8, strike: F8 | None = None) -> None:
    keys = (owner, expiry) if strike is None else (owner, expiry, strike)
    known: Bool = (owner >= 0) & (expiry != NO_TIME)
    if strike is not None:
        known &= ~np.isnan(strike)

    def key(row: int) -> str:
        last = "" if strike is None else f", {strike[row]:g}"
        return f"{table.shown(column, row)}, {iso(expiry[row])}{last}"

    table.unique(column, keys, known, key)


def _sorted(owner: I4, expiry: I8, strike: F8, value: F8) -> Nodes:
    """The rows that have an owner and an expiry, ascending by owner, expiry and strike."""
    rows = np.flatnonzero((owner >= 0) & (expiry != NO_TIME))
    keys = (strike[rows],) if len(strike) else ()
    order = rows[np.lexsort((*keys, expiry[rows], owner[rows]))]
    return Nodes(owner[order], expiry[order], strike[order] if len(strike) else strike, value[order])
