"""A book of two stocks and options on one of them, whose returns are known, so that margins are worked out by hand."""

import math
from datetime import date
from pathlib import Path
from typing import Any

from oracle.books import Book, days_before, hold, linear, option
from oracle.files import write_book

from gpu_var.margin.compare import Comparison, compare
from gpu_var.market.checks import load

A_RETURNS = [0.03, -0.02, 0.05, -0.08, 0.01, -0.04, 0.06, -0.01, 0.02, -0.03]
B_RETURNS = [-0.01, 0.04, 0.02, 0.03, -0.05, -0.06, 0.01, 0.07, -0.02, 0.01]
WORST = (
    'as_of = "2026-01-05"\nbase_currency = "USD"\nmeasure = "worst"\nallow_unshocked = ["iv:A"]\n'
    '[fhs]\nlookback = 10\nscaling = "none"\n'
)
"""The worst of ten log returns as they were."""


def levels(returns: list[float], last: float) -> list[float]:
    """Levels that end on `last`, one more than log returns."""
    logs = [sum(returns[:n]) for n in range(len(returns) + 1)]
    return [last * math.exp(x - logs[-1]) for x in logs]


def losses(returns: list[float], value: float) -> list[float]:
    """What a position worth `value` loses in each scenario."""
    return [-value * (math.exp(x) - 1.0) for x in returns]


def stocks(holdings: dict[str, dict[str, float]], **tables: Any) -> Book:
    """Accounts (name -> instrument -> contracts), and further tables."""
    return {
        "underlyings": [
            {"underlying": "A", "currency": "USD", "spot": 100.0},
            {"underlying": "B", "currency": "USD", "spot": 50.0},
        ],
        "vols": [{"underlying": "A", "expiry": "2026-02-05", "strike": 100.0, "iv": 0.2}],
        "instruments": [
            linear("A", "spot", "A"),
            linear("B", "spot", "B"),
            linear("B-perp", "perpetual", "B"),
            option("A-C", "A", "2026-02-05", 110.0, "call", multiplier=10.0),
            option("A-P", "A", "2026-02-05", 90.0, "put", multiplier=10.0),
        ],
        "positions": [row for account, held in holdings.items() for row in hold(account, **held)],
        "history": {
            "date": days_before(date(2026, 1, 5), 11),
            "spot:A": levels(A_RETURNS, 100.0),
            "spot:B": levels(B_RETURNS, 50.0),
        },
        **tables,
    }


def write_stocks(folder: Path, book: Book, config: str = WORST) -> Path:
    """The book's folder."""
    path = write_book(folder, book)
    (path / "margin.toml").write_text(config)
    return path


def compared(path: Path, **options: Any) -> Comparison:
    """The comparison of a book's folder."""
    book, config, factors, _ = load(path)
    return compare(book, config, factors, threads=1, **options)


def row(result: Comparison, account: str) -> dict[str, Any]:
    """An account's row."""
    return next(one for one in result.table.to_pylist() if one["account"] == account)
