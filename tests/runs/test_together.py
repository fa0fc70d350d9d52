"""Several underlyings as one: their markets, their scenarios and their accounts' losses are those of each alone."""

from itertools import groupby, pairwise

import numpy as np
import pytest
from oracle import books
from oracle.files import write_book

from cpu_reference.smile import smile_variance
from gpu_var import engine
from gpu_var.backend import load_backend
from gpu_var.benchmark.house import house
from gpu_var.cells import cells_of
from gpu_var.market.checks import load
from gpu_var.market.state import shocks, together, underlyings
from gpu_var.scenarios.model import ScenarioSet

CPU = load_backend("cpu")
BOOKS = {
    "crypto": (books.crypto, {}),
    "crypto, sticky strike, rolled": (books.crypto, {"smile": "sticky_strike", "roll": True}),
    "world": (books.world, {"allow_unshocked": ["iv:CRASH"]}),
    "world, simple returns": (books.world, {"allow_unshocked": ["iv:CRASH"], "returns": "simple"}),
    "oil": (books.oil, {"as_of": "2020-05-06", "roll": True}),
    "equity": (books.equity, {}),
    "corners": (books.corners, {}),
}


@pytest.fixture(params=BOOKS)
def loaded(request, tmp_path):
    make, changes = BOOKS[request.param]
    book, config, factors, _ = load(write_book(tmp_path / "book", make(), books.config(**changes)))
    parts = underlyings(book, config, np.flatnonzero(book.held))
    shock = np.random.default_rng(1).normal(0.0, 0.02, (30, len(factors.names)))
    return book, config, factors, parts, shock


def test_markets_and_scenarios_are_those_of_each(loaded):
    book, config, factors, parts, shock = loaded
    for _, some in groupby(parts, lambda part: part.market.normal):
        each = list(some)
        pool = together(each)
        moved = shocks(book, config, factors, pool, shock)
        assert pool.position.tolist() == [part.position for part in each]
        m = row = listed = 0
        for u, part in enumerate(each):
            own = shocks(book, config, factors, part, shock)
            n = len(part.market.today.years)
            at = slice(m, m + n)
            assert (pool.market.underlying[at] == u).all()
            for name in ("forward_from_rate", "spot", "fx"):
                np.testing.assert_array_equal(getattr(pool.market, name)[at], getattr(part.market, name))
            for name in ("today", "horizon"):
                for mine, theirs in zip(getattr(pool.market, name), getattr(part.market, name), strict=True):
                    np.testing.assert_array_equal(mine[at], theirs)
            for i in range(n):
                for mine, theirs in zip(moved.at(m + i), own.at(i), strict=True):
                    np.testing.assert_array_equal(mine, theirs)
                for name in ("smile_today", "smile_horizon"):
                    k = np.linspace(-1.0, 1.0, 7)
                    mine, theirs = (
                        smile_variance(getattr(market, name), np.full(7, of), k)
                        for market, of in ((pool.market, m + i), (part.market, i))
                    )
                    np.testing.assert_array_equal(mine, theirs)
            for whole, alone, begin in ((pool.instruments, part.instruments, row), (pool.listed, part.listed, listed)):
                cut = whole.cut(slice(begin, begin + len(alone.kind)))
                for name, column in alone._asdict().items():
                    np.testing.assert_array_equal(getattr(cut, name), column + m if name == "maturity" else column)
            m, row, listed = m + n, row + len(part.instruments.kind), listed + len(part.listed.kind)
        assert (len(pool.market.spot), len(pool.instruments.kind), len(pool.listed.kind)) == (m, row, listed)


def test_rows_are_shared(loaded):
    """No more rows of scenarios than factors and what they make together: a few for each underlying, not a matrix."""
    book, config, factors, parts, shock = loaded
    for _, some in groupby(parts, lambda part: part.market.normal):
        pool = together(list(some))
        moved = shocks(book, config, factors, pool, shock)
        currencies = len(set(book.underlyings.currency[pool.position].tolist()))
        assert len(moved.fx) == currencies
        expiries = len(set(pool.market.horizon.years.tolist()))
        assert len(moved.rate) <= currencies * (1 + expiries)
        for rows, read in ((moved.move, moved.row[:2]), (moved.rate, moved.row[3]), (moved.vol_growth, moved.row[4])):
            assert read.max() < len(rows)


@pytest.mark.parametrize("room", [1 << 30, 1])
def test_losses_are_those_of_each(loaded, monkeypatch, room):
    """Of accounts and cells, with as many underlyings together as there is room for, or one."""
    book, config, factors, parts, shock = loaded
    sets = [
        ScenarioSet("fhs", [str(i) for i in range(20)], shock[:20], 0, ()),
        ScenarioSet("stress", [str(i) for i in range(10)], shock[20:], 0, (), ranked=False),
    ]

    def run():
        return engine.revalue(book, config, factors, parts, sets, cells_of(book), CPU, 2, keep_cells=True)

    each = run()
    monkeypatch.setattr(CPU, "POOLED", True)
    monkeypatch.setattr(CPU, "batch_bytes", lambda: room)
    calls = []
    real = CPU.prepare_all
    monkeypatch.setattr(CPU, "prepare_all", lambda requests: calls.extend(requests) or real(requests))
    pooled = run()
    changes = sum(a.market.normal != b.market.normal for a, b in pairwise(parts))
    assert len(calls) == (1 + changes if room > 1 else len(parts))
    assert (pooled.direct, pooled.failed, pooled.revaluations) == (each.direct, each.failed, each.revaluations)
    for model, want in each.pnl.items():
        scale = np.nanmax(np.abs(want))
        np.testing.assert_allclose(pooled.pnl[model], want, rtol=1e-12, atol=1e-9 * scale)
        np.testing.assert_allclose(pooled.cell_pnl[model], each.cell_pnl[model], rtol=1e-12, atol=1e-9 * scale)
    for got, want in zip(pooled.cell_tail["fhs"], each.cell_tail["fhs"], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-9 * scale)


def test_prices_are_those_of_each(loaded):
    _, _, _, parts, _ = loaded
    for _, some in groupby(parts, lambda part: part.market.normal):
        each = list(some)
        pool = together(each)
        whole = CPU.price(pool.instruments, pool.market, True)
        alone = [CPU.price(part.instruments, part.market, True) for part in each]
        for name, got in whole._asdict().items():
            want = np.concatenate([getattr(one, name) for one in alone])
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=name)


def test_underlyings_of_the_same_carry_share_no_boundary():
    """Their American options are priced as each underlying's alone, though one chain would hold them all."""
    whole = house(3000, 2, 3, 4000, underlyings=4)
    whole.book.underlyings.dividend_yield[:] = 0.01
    parts = underlyings(whole.book, whole.config, np.arange(3000))
    pool = together(parts)
    got = CPU.price(pool.instruments, pool.market, False)
    alone = [CPU.price(part.instruments, part.market, False) for part in parts]
    for name, values in got._asdict().items():
        np.testing.assert_array_equal(values, np.concatenate([getattr(one, name) for one in alone]), err_msg=name)
