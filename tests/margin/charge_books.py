"""A small book for the charges: two lognormal underlyings and a normal one, with history, as CSV."""

from pathlib import Path
from typing import Any

import numpy as np

from gpu_var.margin.measured import Measured
from gpu_var.margin.requirement import measured
from gpu_var.market.checks import load
from gpu_var.scenarios.model import ScenarioSet

AS_OF = "2026-01-05"
DAYS = 301
TOP = f'as_of = {AS_OF}\nbase_currency = "USD"\nreturns = "simple"\n'
SPOT = {"A": 100.0, "B": 50.0, "N": -2.0}
INSTRUMENTS = """instrument,kind,underlying,multiplier,expiry,strike,right
A,spot,A,1,,,
B,spot,B,1,,,
N,spot,N,1,,,
A-perp,perpetual,A,2,,,
A-fut,future,A,10,2026-03-20,,
A-call,option,A,10,2026-02-04,105,call
A-put,option,A,10,2026-04-05,95,put
A-far,option,A,10,2028-01-05,120,call
A-old,option,A,10,2025-12-05,90,call
B-call,option,B,10,2026-07-03,55,call
N-put,option,N,10,2026-07-03,-4,put
"""
VOLS = """underlying,expiry,strike,iv
A,2026-07-03,100,0.3
B,2026-07-03,50,0.4
N,2026-07-03,-2,5
"""


def returns() -> np.ndarray:
    """(300, 6) daily moves of spot:A, spot:B, spot:N, iv:A, iv:B, iv:N; A and B move together, much of the time."""
    draw = np.random.default_rng(4).standard_normal((DAYS - 1, 6))
    draw[:, 1] = 0.6 * draw[:, 0] + 0.8 * draw[:, 1]
    return draw * [0.01, 0.02, 0.5, 0.03, 0.03, 0.03]


def write(folder: Path, config: str, **accounts: dict[str, float]) -> Path:
    """The book's folder, each account holding instrument -> contracts."""
    folder.mkdir(parents=True)
    (folder / "underlyings.csv").write_text(
        "underlying,currency,spot,dynamics\n"
        + "".join(f"{u},{'EUR' if u == 'B' else 'USD'},{s},{'normal' if u == 'N' else ''}\n" for u, s in SPOT.items())
    )
    (folder / "fx.csv").write_text("currency,rate\nEUR,1.25\n")
    (folder / "instruments.csv").write_text(INSTRUMENTS)
    (folder / "vols.csv").write_text(VOLS)
    rows = [f"{account},{name},{q!r}\n" for account, held in accounts.items() for name, q in held.items()]
    (folder / "positions.csv").write_text("account,instrument,quantity\n" + "".join(rows))
    moves = returns()
    level = np.vstack([np.ones(6), np.cumprod(1.0 + moves, axis=0)])
    level[:, 2] = np.cumsum(np.concatenate([[0.0], moves[:, 2]]))
    dates = np.datetime64(AS_OF) - np.arange(DAYS)[::-1]
    lines = [",".join([str(date), *map(repr, row.tolist()), "1.25"]) for date, row in zip(dates, level, strict=True)]
    head = "date,spot:A,spot:B,spot:N,iv:A:30d,iv:B:30d,iv:N:30d,fx:EUR"
    (folder / "history.csv").write_text("\n".join([head, *lines]) + "\n")
    (folder / "margin.toml").write_text(TOP + config)
    return folder


def measure(folder: Path, config: str, sets: Any = None, **accounts: dict[str, float]) -> Measured:
    """The book of these accounts, measured; `sets(book, config, factors)` makes further scenarios."""
    book, settings, factors, _ = load(write(folder, config, **accounts))
    given: list[ScenarioSet] | None = None if sets is None else sets(book, settings, factors)
    return measured(book, settings, factors, sets=given, threads=1)


def row(m: Measured, account: str) -> int:
    """The account's row."""
    place: int = m.book.accounts.name.to_pylist().index(account)
    return place
