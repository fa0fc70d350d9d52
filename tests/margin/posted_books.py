"""A book of one coin, deep options on it and two other currencies, in which margins can be worked out by hand."""

import math
from datetime import date
from pathlib import Path
from typing import Any

from oracle.books import Book, days_before, hold, linear, option
from oracle.files import write_book

import gpu_var as gv

SPOT, EURO, TETHER = 100.0, 1.1, 0.999
RETURNS = [0.03, -0.02, 0.05, -0.08, 0.01, -0.04, 0.06, -0.01, 0.02, -0.03]
EURO_RETURNS = [-0.01, 0.004, 0.012, -0.006, 0.0, 0.002, -0.015, 0.007, 0.001, -0.003]
NEAR = "2026-02-05"
TOP = 'as_of = "2026-01-05"\nbase_currency = "USD"\nallow_unshocked = ["iv:X"]\n'
WORST = TOP + 'measure = "worst"\n[fhs]\nlookback = 10\nscaling = "none"\n'
"""The worst of ten log returns as they were, so that a margin is one product."""

Rows = list[tuple[str, str, float]]


def levels(returns: list[float], last: float) -> list[float]:
    """Levels that end on `last`, one more than log returns."""
    total = [0.0]
    for x in returns:
        total.append(total[-1] + x)
    return [last * math.exp(t - total[-1]) for t in total]


def holding(accounts: dict[str, dict[str, float]], collateral: Rows) -> Book:
    """Accounts (name -> instrument -> contracts), and what they have posted: (account, asset, quantity)."""
    return {
        "underlyings": [{"underlying": "X", "currency": "USD", "spot": SPOT, "carry": "none", "half_spread": 0.0}],
        "vols": [{"underlying": "X", "expiry": NEAR, "strike": SPOT, "iv": 0.2}],
        "instruments": [
            linear("X", "spot", "X"),
            linear("X (collateral)", "perpetual", "X"),
            option("C50", "X", NEAR, 50.0, "call"),
            option("C100", "X", NEAR, 100.0, "call"),
            option("P100", "X", NEAR, 100.0, "put"),
            option("P1000", "X", NEAR, 1000.0, "put"),
        ],
        "positions": [row for name, held in accounts.items() for row in hold(name, **held)] or hold("other", X=0.0),
        "accounts": [{"account": name} for name in {**accounts, "other": {}}],
        "fx": [{"currency": "EUR", "rate": EURO}, {"currency": "USDT", "rate": TETHER}],
        "history": {
            "date": days_before(date(2026, 1, 5), len(RETURNS) + 1),
            "spot:X": levels(RETURNS, 93.0),
            "fx:EUR": levels(EURO_RETURNS, 1.2),
            "spot:EUR": levels(RETURNS, 7.0),  # of no underlying: it must not move the currency
        },
        "collateral": [{"account": a, "asset": asset, "quantity": q} for a, asset, q in collateral]
        or [{"account": "other", "asset": "USD", "quantity": 0.0}],
    }


def evaluate(folder: Path, tables: Book, config: str) -> gv.Run:
    write_book(folder, tables)
    (folder / "margin.toml").write_text(config, encoding="utf-8")
    loaded = gv.Config.load(folder / "margin.toml")
    return gv.run(gv.read_book(folder, loaded), loaded, backend="cpu", threads=1)


def by_account(run: gv.Run) -> dict[str, dict[str, Any]]:
    return {row["account"]: row for row in run.margin.to_pylist()}
