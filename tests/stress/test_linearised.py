"""Derivatives of all factors at once, against differences of one factor at a time."""

from pathlib import Path

import numpy as np
import pytest
from oracle import books
from oracle.files import write_book

from gpu_var.margin.requirement import measured
from gpu_var.market.checks import load
from gpu_var.stress.factor_law import factor_law
from gpu_var.stress.house import house_of
from gpu_var.stress.linearised import Linearised
from gpu_var.stress.losses import LossFunction
from gpu_var.stress.starts import slopes

MARKETS = {
    "crypto": (books.crypto, {}),
    "world": (books.world, {"allow_unshocked": ["iv:CRASH"]}),
    "oil": (books.oil, {"as_of": "2020-05-06"}),
    "corners": (books.corners, {}),
}


def of(folder: Path, name: str, **more: str):
    make, keys = MARKETS[name]
    book, config, factors, _ = load(write_book(folder, make(), books.config(**keys, **more)))
    return measured(book, config, factors, threads=1)


@pytest.mark.parametrize("name", MARKETS)
def test_derivatives(tmp_path, name):
    m = of(tmp_path / "b", name)
    accounts = np.arange(len(m.book.accounts.house))[::2]
    names = m.factors.names
    deviation = factor_law(m.book, m.config, m.factors, m.backend, np.ones(len(names), np.bool_)).deviation
    near = Linearised(m, accounts, deviation)
    x = np.random.default_rng(0).standard_normal((3, len(names))) * deviation
    loss, slope = near(x)
    exact = LossFunction(m, accounts)
    assert loss == pytest.approx(exact(x), rel=1e-12, abs=1e-9 * np.abs(loss).max())
    assert near.revaluations <= 1 + 2 * len(names)
    if name == "world":  # spots, exchange rates, two tenors each of volatilities, forwards and rates: 8, of 15 factors
        assert near.revaluations == 1 + 2 * 8
    for i, one in enumerate(slope):
        for f in range(len(names)):
            bump = np.zeros(len(names))
            bump[f] = 0.01 * deviation[f]
            up, down = exact(np.stack([x[i] + bump, x[i] - bump])).T
            expected = np.divide(up - down, 2 * bump[f], where=bump[f] > 0, out=np.zeros_like(up))
            got = one.toarray()[:, f]
            assert got == pytest.approx(expected, rel=1e-6, abs=1e-7 * (np.abs(expected).max() + 1e-300)), names[f]


@pytest.mark.parametrize("name", ["crypto", "oil"])
def test_starts_are_the_slopes_of_today(tmp_path, name):
    """From today's Greeks, which are at fixed volatility: exact for spots where strikes keep their volatilities. Those
    of the volatilities are by bucket of expiry, so roughly.
    """
    m = of(tmp_path / "b", name, smile="sticky_strike")
    house = house_of(m.book)
    names = m.factors.names
    law = factor_law(m.book, m.config, m.factors, m.backend, np.ones(len(names), np.bool_))
    every = np.arange(len(m.book.accounts.house))
    _, (slope,) = Linearised(m, every, law.deviation)(np.zeros((1, len(names))))
    group = house.group[house.member_of]
    expected = np.stack([slope.toarray()[group == g].sum(axis=0) for g in range(len(house.group_name))])
    found = slopes(m, house)
    underlyings = [n for n in names if n in ("spot:BTC", "spot:CL")]
    for one in underlyings:
        f = names.index(one)
        assert found[:, f] == pytest.approx(expected[:, f], rel=2e-3, abs=2e-3 * np.abs(expected[:, f]).max())
    both, its = found @ law.root, expected @ law.root
    largest = np.linalg.norm(its, axis=1) > 0.0
    cosine = (
        (both * its).sum(axis=1)[largest] / np.linalg.norm(both, axis=1)[largest] / np.linalg.norm(its, axis=1)[largest]
    )
    assert (cosine > 0.95).all()
