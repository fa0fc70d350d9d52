"""Prices in a moved market are those that the engine's profit and loss in the scenario is made of."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from oracle import books
from oracle.files import write_book

from cpu_reference.types import FUTURE, OPTION, PERPETUAL, SPOT
from gpu_var import engine
from gpu_var.backend import load_backend
from gpu_var.cells import cells_of
from gpu_var.market.checks import load
from gpu_var.market.state import underlyings
from gpu_var.scenarios.model import ScenarioSet
from gpu_var.stress.moved_market import moved
from gpu_var.tables.book import Accounts, Positions

CPU = load_backend("cpu")
MARKETS = {
    "crypto": (books.crypto, {}),
    "crypto, sticky strike": (books.crypto, {"smile": "sticky_strike"}),
    "crypto, rolled": (books.crypto, {"roll": True, "holding_period_days": 3}),
    "world": (books.world, {"allow_unshocked": ["iv:CRASH"]}),
    "world, simple returns": (books.world, {"allow_unshocked": ["iv:CRASH"], "returns": "simple"}),
    "oil, dynamics normal": (books.oil, {"as_of": "2020-05-06"}),
    "oil, sticky strike": (books.oil, {"as_of": "2020-05-06", "smile": "sticky_strike"}),
    "oil, rolled": (books.oil, {"as_of": "2020-05-06", "roll": True}),
    "equity, American": (books.equity, {}),
}


def one_of_each(book):
    """A book in which every instrument is held once, each by an account of its own."""
    n = len(book.instruments.kind)
    accounts = Accounts(book.instruments.name, pa.nulls(n, pa.string()), np.zeros(n, np.bool_))
    rows = np.arange(n, dtype=np.int32)
    return replace(book, accounts=accounts, positions=Positions(rows, rows, np.ones(n)))


def profit(book, config, factors, parts, shock):
    """(n_instruments, k) of one contract each, by the engine."""
    probe = ScenarioSet("stress.probe", [str(i) for i in range(len(shock))], shock, 0, ranked=False)
    out = engine.revalue(book, config, factors, parts, [probe], cells_of(book), CPU, 1)
    return out.pnl[probe.model]


def value(book, parts):
    """(n_instruments,) prices, forwards, spots and exchange rates at the market of the parts."""
    price, forward, spot, fx = np.full((4, len(book.instruments.kind)), np.nan)
    for part in parts:
        found = CPU.price(part.instruments, part.market, False)
        price[part.row], forward[part.row] = found.price, found.forward
        spot[part.row], fx[part.row] = part.spot, part.fx
    return price, forward, spot, fx


def expected(book, before, after):
    """The contract's formulas of profit and loss (section 3), from prices before and after."""
    i = book.instruments
    (p0, f0, _, fx0), (p1, f1, s1, fx1) = before, after
    linear = (i.kind == FUTURE) | (i.kind == PERPETUAL)
    out = i.multiplier * (fx1 * p1 - fx0 * p0)
    assert ((i.kind == SPOT) | (i.kind == OPTION) | linear).all()
    out = np.where(linear, i.multiplier * fx1 * (p1 - p0), out)
    return np.where(linear & i.inverse, i.multiplier * (1 / f0 - 1 / f1) * s1 * fx1, out)


@pytest.mark.parametrize("name", MARKETS)
def test_prices_there_are_the_engines(tmp_path, name):
    make, keys = MARKETS[name]
    book, config, factors, _ = load(write_book(tmp_path / "book", make(), books.config(**keys)))
    book = one_of_each(book)
    parts = underlyings(book, config, np.flatnonzero(book.held))
    kinds = np.array([{"spot": 0.15, "forward": 0.15, "iv": 0.3, "fx": 0.05, "rate": 0.01}[k] for k in factors.kind])
    scale = np.where(factors.additive & (kinds > 0.01), 4.0, kinds)  # of normal dynamics: dollars
    first, second = np.random.default_rng(3).uniform(-1, 1, (2, len(kinds))) * scale
    tolerance = 3e-4 if "American" in name else 1e-9
    size = book.instruments.multiplier * np.abs(book.underlyings.spot[book.instruments.underlying])
    there = [moved(book, config, factors, part, first) for part in parts]
    today, after = value(book, parts), value(book, there)
    assert (np.abs(after[0] - today[0]) > 0).any()
    error = profit(book, config, factors, parts, first[None])[:, 0] - expected(book, today, after)
    assert np.abs(error / size).max() < tolerance
    if not config.roll:  # a second move is one from there
        again = [moved(book, config, factors, part, second) for part in there]
        error = profit(book, config, factors, there, second[None])[:, 0] - expected(book, after, value(book, again))
        assert np.abs(error / size).max() < tolerance
